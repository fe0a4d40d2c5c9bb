"""Label propagation by the copy operation."""
