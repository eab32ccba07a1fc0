"""The servers and their settings."""
