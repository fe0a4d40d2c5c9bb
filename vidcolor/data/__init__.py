"""Videos, training clips and annotated sequences: what goes in."""
