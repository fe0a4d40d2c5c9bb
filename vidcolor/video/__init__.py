"""Reads videos and folders of pictures, and writes MP4 and WebM."""
