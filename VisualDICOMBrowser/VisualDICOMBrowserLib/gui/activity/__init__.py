"""What the engine is doing, has done and failed to do."""
