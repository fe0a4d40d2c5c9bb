"""From raw video to datasets: TFDS builders and the programs that run them."""
