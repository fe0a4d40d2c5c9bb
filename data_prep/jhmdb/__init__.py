"""JHMDB as a TFDS dataset."""
