"""vidcolor: trackers that emerge from learning to colorize video."""

import os
from typing import Any

# All but the programs. `pdoc vidcolor` writes the reference of these.
__all__ = [
    'benchmarks',
    'color',
    'copying',
    'data',
    'environment',
    'errors',
    'evaluation',
    'files',
    'inspection',
    'load_pretrained',
    'marking',
    'masks',
    'models',
    'pretrained',
    'prompts',
    'render',
    'results',
    'sharding',
    'tracker',
    'tracking',
    'training',
    'upsampling',
    'windowed',
]


def load_pretrained(path: str | os.PathLike[str] | None = None) -> Any:
  """Returns a `video_tracker.VideoTracker`, which follows objects and points.

    tracker = vidcolor.load_pretrained()
    result = video_tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])

  Args:
    path: A run, one checkpoint of it, or what experiments.export wrote; by
      default the network in this package, which vidcolor/pretrained/
      MODEL_CARD.md describes.

  Raises:
    UserError: there is no network.
  """
  # To import the package alone is to take no time.
  # pylint: disable=import-outside-toplevel
  from vidcolor import pretrained
  from vidcolor import video_tracker
  from vidcolor.tracking import propagation

  model, _, config = pretrained.load(path or pretrained.SHIPPED)
  options = propagation.PropagationOptions(**config.tracking)
  return video_tracker.VideoTracker(propagation.LabelPropagator(model, options))
