"""The studies of a person, with a thumbnail for each series."""
