"""Video: decoding, the user's source, MP4 output."""
