"""The search field, its filters, and the run of a search."""
