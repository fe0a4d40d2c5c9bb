"""A static site that tracks objects in a browser tab."""
