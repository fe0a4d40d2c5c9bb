"""JHMDB: joint propagation, scored by PCK."""
