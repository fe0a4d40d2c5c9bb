"""Tracks what a camera sees, as it comes."""

from collections.abc import Iterator
from typing import Any
import warnings

import numpy as np

from vidcolor import prompts
from vidcolor import sessions
from vidcolor.video import camera
from vidcolor.video import video_source


def follow(
    propagator: Any,
    source: camera.Camera,
    prompt: prompts.Prompt,
) -> Iterator[tuple[video_source.VideoFrame, sessions.TrackedFrame]]:
  """Yields the newest frame of a camera each time, and what is found in it.

  Memory does not grow. What is compiled is compiled before the camera starts,
  so that no frames are lost then.

  Args:
    propagator: As `VideoTracker` takes it.
    source: The camera. Whoever stops it ends this.
    prompt: What is tracked, as it is in the first frame.

  Raises:
    UserError: The prompt is not valid, the propagator cannot track it, or the
      camera gives no frame.
  """
  warm_up(propagator, source.size, prompt, source.full_size)
  session = None
  for frame in source:
    if session is None:
      session = start(propagator, frame.rgb, prompt, source.full_size)
    else:
      session.step(frame.rgb)
    yield frame, session.found


def start(
    propagator: Any,
    frame: np.ndarray,
    prompt: prompts.Prompt,
    full_size: prompts.Size,
) -> sessions.Session:
  """Starts to track what a prompt marks in a frame.

  Args:
    propagator: As `VideoTracker` takes it.
    frame: RGB, uint8 [height width 3].
    prompt: What is tracked.
    full_size: The size of the frame before it was shrunk.

  Raises:
    UserError: As `sessions.locate`.
  """
  given = sessions.locate(propagator, frame, prompt, full_size)
  return sessions.Session(propagator, [frame], given)


def warm_up(
    propagator: Any,
    size: prompts.Size,
    prompt: prompts.Prompt,
    full_size: prompts.Size,
) -> None:
  """Tracks frames of noise, so that later frames need no compilation.

  Args:
    propagator: As `VideoTracker` takes it.
    size: Height and width of the frames.
    prompt: What will be tracked.
    full_size: The size of the frames before they were shrunk.

  Raises:
    UserError: As `start`.
  """
  noise = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
  with warnings.catch_warnings(action='ignore'):  # Boxes have no object in it.
    start(propagator, noise, prompt, full_size).step(noise)
