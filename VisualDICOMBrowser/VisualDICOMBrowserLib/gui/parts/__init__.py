"""Small widgets and tools that all of the window is made of."""
