"""Builds synthetic clips with exact labels, as a TFDS dataset."""
