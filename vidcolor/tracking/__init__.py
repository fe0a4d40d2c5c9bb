"""Trackers: label propagation by the copy operation, and baselines."""
