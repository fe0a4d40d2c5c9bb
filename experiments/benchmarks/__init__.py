"""Benchmarks: what is fast, measured side by side."""
