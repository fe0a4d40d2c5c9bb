"""Video colorization of held-out clips."""
