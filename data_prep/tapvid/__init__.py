"""TAP-Vid as a TFDS dataset."""
