"""Training: the loop, its events, checkpoints and run folders, devices."""
