"""Data at rest: files, the ctkDICOM databases, the catalogue, and the folder lock."""
