"""All elements of an instance."""
