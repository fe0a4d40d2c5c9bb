"""vidcolor: trackers that emerge from learning to colorize video."""
