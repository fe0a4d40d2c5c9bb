"""The web page's camera: draw a box on what it sees, and watch it tracked.

The browser sends one picture after the other, and the next one when the answer
is there. Pictures between them are dropped. It measures rate and latency.
"""

import base64
import collections
import io
import pathlib
import threading
from typing import Any
import warnings

import gradio as gr
import numpy as np
from PIL import Image

from vidcolor import errors
from vidcolor import live
from vidcolor import prompts
from vidcolor import sessions
from vidcolor.data import images
from vidcolor.render import overlay

_MAX_SIDE = 640  # Pixels. webcam.js sends smaller ones.
_MAX_PEOPLE = 4  # Whose objects are in memory.
_JPEG_QUALITY = 85
_HTML = """
  <div class="view">
    <video muted playsinline></video>
    <canvas tabindex="0" aria-label="The camera: drag a box here"></canvas>
  </div>
  <p class="status" role="status">The camera is off.</p>
  <p class="buttons">
    <button class="camera">Start camera</button>
    <button class="centre" disabled>Track the centre</button>
    <button class="end" disabled>Stop tracking</button>
  </p>
"""
_CSS = """
  .view { position: relative; max-width: 640px; margin: auto;
      background: #000; aspect-ratio: 4 / 3; }
  video, canvas { position: absolute; width: 100%; height: 100%; }
  canvas { cursor: crosshair; touch-action: none; }
  .status { text-align: center; min-height: 3em; margin: 0.5em;
      font-variant-numeric: tabular-nums; }
  .buttons { display: flex; flex-wrap: wrap; gap: 0.5em;
      justify-content: center; }
  button { margin: 0; padding: 0.6em 1em;
      border-radius: var(--button-large-radius);
      background: var(--button-secondary-background-fill);
      color: var(--button-secondary-text-color); }
  button:disabled { opacity: 0.4; }
"""


class Webcams:
  """Tracks what is in the pictures of several people.

  A picture is the text of a JPEG in base64. Answers are dicts with `picture`,
  and `visible`, which is false if the object is likely lost; or with `error`, a
  line that says what is wrong.
  """

  def __init__(self, propagator: Any):
    """Starts without people.

    Args:
      propagator: As `VideoTracker` takes it. It should be fast.
    """
    self._propagator = propagator
    self._people: collections.OrderedDict[str, _Tracked] = (
        collections.OrderedDict()
    )
    self._ready = set()  # Sizes for which the code is compiled.
    self._lock = threading.Lock()  # One picture at a time has all cores.

  def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
    """Compiles the code for pictures like `request['picture']`."""
    return self._answer(self._prepare, request)

  def begin(self, request: dict[str, Any]) -> dict[str, Any]:
    """Tracks the object in a box from a picture on.

    Args:
      request: 'person', any text that only this person has, 'picture', and
        'box', [left, top, right, bottom] in pixels.
    """
    return self._answer(self._begin, request)

  def step(self, request: dict[str, Any]) -> dict[str, Any]:
    """Tracks the object in the next picture: 'person' and 'picture'."""
    return self._answer(self._step, request)

  def _answer(self, act, request):
    try:
      frame = _decode(request['picture'])
      with self._lock:
        return act(request, frame)
    except errors.UserError as error:
      return {'error': str(error)}

  def _prepare(self, request, frame):
    size = frame.shape[:2]
    if size not in self._ready:
      whole = [(0, 0, size[1], size[0])]
      live.warm_up(self._propagator, size, prompts.BoxPrompt(whole), size)
      self._ready.add(size)
    return {}

  def _begin(self, request, frame):
    box = prompts.BoxPrompt([request['box']], 'the box')
    with warnings.catch_warnings(action='ignore'):  # A whole box shows itself.
      session = live.start(self._propagator, frame, box, frame.shape[:2])
    self._people[request['person']] = tracked = _Tracked(session)
    if len(self._people) > _MAX_PEOPLE:
      self._people.popitem(last=False)
    return tracked.draw()

  def _step(self, request, frame):
    tracked = self._people.get(request['person'])
    if tracked is None:
      raise errors.UserError('other people use the tracker: begin again')
    self._people.move_to_end(request['person'])
    tracked.session.step(frame)
    return tracked.draw()


class _Tracked:
  """What is tracked for a person."""

  def __init__(self, session: sessions.Session):
    self.session = session
    self._colors = overlay.contrasting_colors(session.frame, self._mask())

  def draw(self):
    """Returns the answer for the frame shown last."""
    found = self.session.found
    drawn = overlay.draw_tracks(
        self.session.frame,
        0,
        numbers=found.numbers,
        masks=self._mask()[None],
        position=found.position[None],
        visible=found.visible[None],
        colors=self._colors,
    )
    data = images.encode_jpeg(drawn, _JPEG_QUALITY)
    return {
        'picture': base64.b64encode(data).decode(),
        'visible': bool(found.visible.all()),
    }

  def _mask(self):
    mask = self.session.found.mask
    assert mask is not None  # Boxes give objects, which have masks.
    return mask


def add(webcams: Webcams) -> None:
  """Adds the camera to the page that is being built."""

  # Gradio marks the functions, which it cannot do with methods.
  def prepare(request):
    return webcams.prepare(request)

  def begin(request):
    return webcams.begin(request)

  def step(request):
    return webcams.step(request)

  gr.Markdown(
      '# Track what your camera sees\nPoint it at an object. Nothing is kept.'
  )
  gr.HTML(
      html_template=_HTML,
      css_template=_CSS,
      js_on_load=pathlib.Path(__file__).with_suffix('.js').read_text(),
      server_functions=[prepare, begin, step],
      elem_id='webcam',
  )


def _decode(picture):
  """Returns the RGB frame of a JPEG in base64."""
  try:
    data = io.BytesIO(base64.b64decode(picture))
    image = Image.open(data, formats=['JPEG'])
    if max(image.size) > _MAX_SIDE:
      raise errors.UserError(
          f'the picture is {image.size[0]} x {image.size[1]}: give sides of at'
          f' most {_MAX_SIDE}'
      )
    return np.asarray(image.convert('RGB'))
  except (OSError, ValueError) as error:
    raise errors.UserError('the picture is not a JPEG') from error
