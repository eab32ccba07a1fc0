"""The list of persons."""
