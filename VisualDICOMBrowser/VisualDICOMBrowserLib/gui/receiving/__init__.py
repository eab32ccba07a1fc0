"""Receiving from others: settings, and who calls."""
