"""DAVIS 2016 and 2017 as a TFDS dataset."""
