"""Slicer's application, database and packages, as far as tests need them where no Slicer runs."""
