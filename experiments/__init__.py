"""Programs: configs, the quickstart, launchers, notebooks, benchmarks."""
