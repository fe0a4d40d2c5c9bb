"""Serves a web page: open a video, click on objects or points, track them.

pip install -e '.[app]'
python -m experiments.app

and open the address that it prints. Frames are shrunk to a short side of at
most 480 pixels. One video is tracked at a time; other people wait. A temporary
folder holds uploads and results. It is deleted when the program ends, by Ctrl-C
or a signal.
"""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading
import time
from typing import NamedTuple
import warnings

from absl import flags
import gradio as gr
from gradio import context
from gradio import utils
import tqdm

from experiments import click_prompts
import vidcolor
from vidcolor import errors
from vidcolor import program
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.video import video_source

_MAX_SHORT_SIDE = 480
_PERIOD = 0.5  # Seconds between two looks whether a person stopped to wait.
_ENDINGS = 'SIGTERM', 'SIGHUP'  # Signals that end the program as Ctrl-C does.
_KINDS = {
    'Objects: two clicks make a box around each': True,
    'Points: one click each': False,
}
_SCROLL = """
  () => requestAnimationFrame(() => document.querySelector('#film')
    .scrollIntoView({behavior: 'smooth', block: 'start'}))
"""
_HIDDEN = gr.update(visible=False)
_STAGES = {'track': 'Tracking', 'draw': 'Drawing'}
_CSS = """
  main { max-width: 60rem !important; margin: auto !important; }
  #picture img { max-height: 70vh; cursor: crosshair; }
  #film video { max-height: 70vh; }
  #downloads .label-clear-button { display: none; }
"""


class Session(NamedTuple):
  """The video that one person has open, and the clicks in one of its frames."""

  video: video_source.VideoSource
  query_frame: int
  clicked: click_prompts.ClickPrompt


class Turns:
  """Lets one session track at a time, until its person stops it."""

  def __init__(self):
    self._lock = threading.Lock()
    self._stopped = set()
    self._is_closed = False

  def begin(self, session: str | None) -> None:
    """Forgets that the session was stopped."""
    self._stopped.discard(session)

  def stop(self, session: str | None) -> None:
    """Stops what the session tracks or waits for."""
    self._stopped.add(session)

  def close(self) -> None:
    """Stops all sessions for good, and waits until they are."""
    self._is_closed = True
    with self._lock:
      pass

  def check(self, session: str | None) -> None:
    """Raises a `UserError` if the session was stopped."""
    if self._is_closed or session in self._stopped:
      raise errors.UserError('stopped: click Track to begin again')

  @contextlib.contextmanager
  def turn(
      self, session: str | None, say: Callable[[str], object]
  ) -> Iterator[None]:
    """Waits until no other session tracks, and calls `say` if it has to.

    Raises:
      UserError: The session was stopped.
    """
    self.check(session)
    while not self._lock.acquire(timeout=_PERIOD):
      say('Waiting until the videos of other people are tracked')
      self.check(session)
    try:
      yield
    finally:
      self._lock.release()


def build(
    tracker: video_tracker.VideoTracker, turns: Turns | None = None
) -> gr.Blocks:
  """Builds the page. Its method `launch` serves it.

  Args:
    tracker: What tracks.
    turns: Who may track when.
  """
  turns = turns or Turns()

  def open_video(path, is_boxes, request: gr.Request):
    turns.stop(request.session_hash)  # The video before this one.
    with _errors_shown():
      video = video_source.VideoSource(path, max_short_side=_MAX_SHORT_SIDE)
      frame = next(iter(video)).rgb
    clicked = click_prompts.ClickPrompt(frame, is_boxes)
    last = max(1, (video.num_frames or 1) - 1)
    return (
        *_show(Session(video, 0, clicked)),
        gr.Column(visible=True),
        gr.Slider(maximum=last, value=0),
        gr.Column(visible=False),
    )

  def choose_frame(session, number, is_boxes):
    with _errors_shown():
      number, frame = session.video.frame(number)
    clicked = click_prompts.ClickPrompt(frame.rgb, is_boxes)
    return *_show(Session(session.video, number, clicked)), number

  def click(session, event: gr.SelectData):
    with _errors_shown():
      clicked = session.clicked.click(*event.index, tracker.propagator.embed)
    return _show(session._replace(clicked=clicked))

  def undo(session):
    return _show(session._replace(clicked=session.clicked.undo()))

  def clear(session, is_boxes):
    clicked = click_prompts.ClickPrompt(session.clicked.frame, is_boxes)
    return _show(session._replace(clicked=clicked))

  def begin(request: gr.Request):
    turns.begin(request.session_hash)
    return [*_swap(True), gr.Column(visible=True), None, _HIDDEN]

  def track(session, request: gr.Request, bar=gr.Progress()):  # noqa: B008
    with (
        _errors_shown(),
        tempfile.TemporaryDirectory(prefix='vidcolor_') as folder,
    ):
      with turns.turn(request.session_hash, lambda text: bar(0, text)):
        check = lambda: turns.check(request.session_hash)
        outputs = write(session, folder, _progress(bar, check))
      # Gradio copies the files before this function continues.
      yield outputs[0], gr.update(value=outputs, visible=True)

  def write(session, folder, progress):
    """Tracks, and returns the paths of the results; the film is the first."""
    video, prompt = session.video, session.clicked.to_prompt(session.video)
    tracked = tracker.stream(video, prompt, session.query_frame)
    summary = track_output.write_tracking(
        pathlib.Path(folder), video, prompt, tracked, progress
    )
    for told in filter(None, (summary['left_out'], summary['fault'])):
      gr.Warning(told)
    outputs = [f'{folder}/overlay.mp4', f'{folder}/tracks.csv']
    if session.clicked.is_boxes:
      outputs.append(
          shutil.make_archive(f'{folder}/masks', 'zip', folder, 'masks')
      )
    return outputs

  def stop(request: gr.Request):
    turns.stop(request.session_hash)

  with gr.Blocks(
      title='vidcolor', analytics_enabled=False, delete_cache=(3600, 86400)
  ) as page:
    session = gr.State()
    gr.Markdown('# Track anything in your own video\n## 1. Open a video')
    file = gr.File(show_label=False)  # Its content tells its format.
    with gr.Column(visible=False) as click_step:
      gr.Markdown('## 2. Click on what to track')
      is_boxes = gr.Radio(
          list(_KINDS.items()), value=True, show_label=False, container=False
      )
      hint = gr.Markdown()
      picture = gr.Image(
          show_label=False, format='jpeg', buttons=[], elem_id='picture'
      )
      with gr.Row():
        undo_button = gr.Button('Undo')
        clear_button = gr.Button('Clear')
        track_button = gr.Button('Track', variant='primary')
      number = gr.Slider(
          0, 1, step=1, label='Or choose a frame that shows it better'
      )
    with gr.Column(visible=False) as outcome:
      gr.Markdown('## 3. Watch it')
      film = gr.Video(
          show_label=False, autoplay=True, loop=True, buttons=[], elem_id='film'
      )
      stop_button = gr.Button('Stop', variant='stop', visible=False)
      downloads = gr.Files(label='Download', elem_id='downloads', visible=False)

    shown = [session, picture, hint, undo_button, clear_button, track_button]
    file.upload(
        open_video, [file, is_boxes], [*shown, click_step, number, outcome]
    )
    number.release(choose_frame, [session, number, is_boxes], [*shown, number])
    picture.select(click, session, shown)
    is_boxes.change(clear, [session, is_boxes], shown)
    undo_button.click(undo, session, shown)
    clear_button.click(clear, [session, is_boxes], shown)
    running = [track_button, stop_button]
    begun = track_button.click(
        begin, outputs=[*running, outcome, film, downloads]
    )
    begun.then(None, js=_SCROLL)
    tracked = begun.then(
        track,
        session,
        [film, downloads],
        show_progress_on=film,
        concurrency_limit=None,  # Who waits for a turn can still stop.
    )
    tracked.success(None, js=_SCROLL)
    # Gradio does not run what `then` names after a failure.
    tracked.success(lambda: _swap(False), outputs=running)
    tracked.failure(
        lambda: [*_swap(False), _HIDDEN], outputs=[*running, outcome]
    )
    stop_button.click(stop, queue=False)
    page.unload(stop)
  return page


def _show(session):
  """Returns the session, and the state of picture, hint and buttons."""
  clicked = session.clicked
  has_clicks = bool(clicked.positions or clicked.first_corner)
  undo = clear = gr.Button(interactive=has_clicks)
  track = gr.Button(interactive=bool(clicked.positions))
  return session, clicked.draw(), clicked.hint(), undo, clear, track


def _swap(is_running):
  """Shows the button Stop in the place of Track, or the other way round."""
  return [gr.Button(visible=not is_running), gr.Button(visible=is_running)]


def _progress(bar, check):
  """Returns a progress callback, which shows the time left of each stage."""

  def progress(items, desc, total, unit):
    stage = _STAGES[desc]
    bar(0, f'{stage} from the first {unit}')
    start = time.monotonic()
    for done, item in enumerate(items):
      check()
      if done == 0:  # Compilation makes the first item slow.
        start = time.monotonic()
      elif total:
        left = (time.monotonic() - start) / done * max(0, total - 1 - done)
        left = tqdm.tqdm.format_interval(left)
        text = f'{stage}: {unit} {done + 1} of {total}, {left} left'
        bar(min(1, (done + 1) / total), text)
      yield item

  return progress


@contextlib.contextmanager
def _errors_shown():
  """Shows a `UserError` on the page."""
  try:
    yield
  except errors.UserError as error:
    message = _without_folder(str(error))
    raise gr.Error(message, print_exception=False) from error


def _show_warnings():
  """Shows warnings on the page of the person whose click gave rise to them."""
  show_elsewhere = warnings.showwarning

  def show(message, category, *args, **kwargs):
    # Gradio sets it in the threads of events.
    if category is UserWarning and context.LocalContext.event_id.get(None):
      gr.Warning(_without_folder(str(message)))
    else:
      show_elsewhere(message, category, *args, **kwargs)

  warnings.showwarning = show
  warnings.simplefilter('always', UserWarning)  # Each person sees them.


def _without_folder(line):
  """Returns a line that names uploads without their folders."""
  folder = re.escape(utils.get_upload_folder() + os.sep)
  return re.sub(rf'{folder}\w+[/\\]', '', line)


@contextlib.contextmanager
def temporary_files_in_one_folder() -> Iterator[str]:
  """Yields a folder, which is deleted also if a signal ends the program."""
  # Windows has no SIGHUP. Whoever ignores a signal, such as nohup, wants that.
  numbers = {getattr(signal, name, signal.SIGTERM) for name in _ENDINGS}
  numbers = [n for n in numbers if signal.getsignal(n) == signal.SIG_DFL]
  for number in numbers:
    signal.signal(number, signal.default_int_handler)
  try:
    with tempfile.TemporaryDirectory(prefix='vidcolor_') as folder:
      tempfile.tempdir = folder
      yield folder
  finally:
    tempfile.tempdir = None
    for number in numbers:
      signal.signal(number, signal.SIG_DFL)


def main() -> None:
  """Serves the page until it is interrupted."""
  tracker = vidcolor.load_pretrained(flags.FLAGS.checkpoint)
  fonts = {'font': ['system-ui', 'sans-serif'], 'font_mono': ['monospace']}
  turns = Turns()
  _show_warnings()
  with temporary_files_in_one_folder() as folder:
    # Gradio copies results to it. It takes what is there already for a copy.
    folder = os.path.realpath(folder)
    os.environ['GRADIO_TEMP_DIR'] = os.path.join(folder, 'gradio')
    try:
      build(tracker, turns).launch(
          server_port=flags.FLAGS.port,
          share=flags.FLAGS.share,
          run_history=False,
          footer_links=[],
          theme=gr.themes.Default(**fonts),
          css=_CSS,
      )
    except OSError as error:
      raise errors.UserError(
          f'--port={flags.FLAGS.port} is in use: give another one'
      ) from error
    finally:
      turns.close()


if __name__ == '__main__':
  flags.DEFINE_integer(
      'port', None, 'The port. Default: the first free one from 7860.'
  )
  flags.DEFINE_bool('share', False, 'Also makes a public address.')
  program.define_checkpoint()
  program.run(main)
