"""Builds datasets from raw video, with TFDS builders."""
