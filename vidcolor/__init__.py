"""vidcolor: trackers that emerge from learning to colorize video."""

from typing import Any


def load_pretrained() -> Any:
  """Returns the tracker in this package, a `tracking.propagation.Tracker`.

  vidcolor/pretrained/MODEL_CARD.md says what it is and what it can do:

    tracker = vidcolor.load_pretrained()
    for mask in tracker.track(frames, first_mask): ...
  """
  # To import the package alone is to take no time.
  # pylint: disable=import-outside-toplevel
  from vidcolor import pretrained
  from vidcolor.tracking import propagation

  model, _, config = pretrained.load()
  return propagation.Tracker(model, propagation.Options(**config.tracking))
