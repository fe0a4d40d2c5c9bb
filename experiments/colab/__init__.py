"""Notebooks, for Colab and for Jupyter, and what they share."""
