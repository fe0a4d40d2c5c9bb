"""Training configs; each docstring holds the exact command."""
