"""Draws pictures, plots and pages of results that other modules computed."""
