"""vidcolor: trackers that emerge from learning to colorize video.

    import vidcolor as vc

    tracker = vc.load_pretrained()
    result = tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])
    vc.draw('clip.mp4', result, 'overlay.mp4')

All names, and all modules of the package, are imported when they are first
used: `import vidcolor` alone takes no time.
"""

import importlib
import os
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
  # ruff: noqa: F401
  from vidcolor.network import Network
  from vidcolor.track_output import draw
  from vidcolor.tracking.propagation import LabelPropagator
  from vidcolor.tracking.propagation import PropagationOptions
  from vidcolor.training.loop import train
  from vidcolor.video_tracker import VideoTracker

# Where each name is defined.
_NAMES = {
    'LabelPropagator': 'vidcolor.tracking.propagation',
    'Network': 'vidcolor.network',
    'PropagationOptions': 'vidcolor.tracking.propagation',
    'VideoTracker': 'vidcolor.video_tracker',
    'draw': 'vidcolor.track_output',
    'train': 'vidcolor.training.loop',
}
_MODULES = (
    'batch',
    'benchmarks',
    'color',
    'color_output',
    'contours',
    'copying',
    'cutouts',
    'data',
    'environment',
    'errors',
    'export_formats',
    'files',
    'grids',
    'lazy_sequence',
    'live',
    'masks',
    'models',
    'network',
    'presets',
    'pretrained',
    'program',
    'prompts',
    'prompts_over_time',
    'render',
    'sessions',
    'sharding',
    'track_output',
    'track_report',
    'tracking',
    'training',
    'video',
    'video_tracker',
    'visualization',
    'windowed',
    'windowed_tpu',
)

# pdoc writes the reference of these; the names above it finds in their modules.
__all__ = ['load_pretrained', 'load_pretrained_network', *_MODULES]


def load_pretrained(
    path: str | os.PathLike[str] | None = None, *, preset: str = 'default'
) -> 'VideoTracker[LabelPropagator]':
  """Returns a tracker of objects and points in videos.

  Args:
    path: As `Network.load` takes it. Default: the network in the package,
      which vidcolor/pretrained/MODEL_CARD.md describes.
    preset: 'default', or 'fast', which takes a fifth of the time and loses
      objects more often.

  Raises:
    UserError: There is no network at the path, or no such preset.
  """
  from vidcolor import video_tracker

  propagator = load_pretrained_network(path).propagator(preset)
  return video_tracker.VideoTracker(propagator)


def load_pretrained_network(
    path: str | os.PathLike[str] | None = None,
) -> 'Network':
  """Returns a network, as `Network.load` does."""
  from vidcolor import network

  return network.Network.load(path)


def __getattr__(name: str) -> Any:
  if name in _NAMES:
    return getattr(importlib.import_module(_NAMES[name]), name)
  if name in _MODULES:
    return importlib.import_module(f'vidcolor.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return sorted([*__all__, *_NAMES])
