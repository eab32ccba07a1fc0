"""Sending to servers, as the window does it."""
