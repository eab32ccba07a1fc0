"""What the window shows of loading into the program around it."""
