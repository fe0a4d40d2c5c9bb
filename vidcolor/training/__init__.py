"""Training: the loop, the step, the objective and the checkpoints."""
