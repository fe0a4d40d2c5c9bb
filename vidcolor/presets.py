"""Presets: changes of a network's options of tracking, to track faster."""

# By name. Chosen on 16 sequences of DAVIS 2016's training list at 854 x 480:
# docs/results.md has what they cost and lose.
PRESETS = {
    'default': {},
    # Rows are shrunk by 1.9, and the window with them.
    'fast': {'short_side': 192, 'radius': 10, 'recent': 3},
}
