"""Programs: configs, the quickstart, the launcher, notebooks, benchmarks."""
