"""Embedding networks, one file each."""
