"""Looking through the images of a series."""
