"""Builds Kinetics, or any folder of videos, as a TFDS dataset."""
