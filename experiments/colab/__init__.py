"""Notebooks for Colab and Jupyter, and the code that they share."""
