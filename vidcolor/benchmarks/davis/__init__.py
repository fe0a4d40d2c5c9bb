"""DAVIS 2016 and 2017: mask propagation, scored by J&F."""
