"""Metrics (numpy in, numbers out) and baselines."""
