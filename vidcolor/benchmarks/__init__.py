"""Benchmarks: reader, tracker, metric and report put together."""
