"""Serves a web page: open a video, mark objects or points, track, correct.

pip install -e '.[app]'
python -m experiments.app

and open the address that it prints. Frames are shrunk to a short side of at
most 480 pixels. Objects can be marked and corrected in any frame, and tracked
again, by clicks, keys and masks from files; prompts.json, or prompts.zip if
there are masks, repeats that with `vidcolor.track --prompts`. The tab Camera
tracks what a camera sees.

One video is tracked at a time; other people wait. A temporary folder holds
uploads and results. Those of a person are deleted when the page is closed, and
all of them when the program ends, by Ctrl-C or a signal.
"""

from collections.abc import Callable, Iterator
import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import signal
import tempfile
import threading
import time
import uuid
import warnings
import zipfile

from absl import flags
import cv2
import gradio as gr
from gradio import context
from gradio import utils
import tqdm

from experiments import editor
from experiments import marks
from experiments import webcam
import vidcolor
from vidcolor import errors
from vidcolor import program
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.render import confidence_strip
from vidcolor.video import video_source

_MAX_SHORT_SIDE = 480
_SCRIPT = pathlib.Path(__file__).with_suffix('.js')
_PERIOD = 0.5  # Seconds between two looks whether a person stopped to wait.
_ENDINGS = 'SIGTERM', 'SIGHUP'  # Signals that end the program as Ctrl-C does.
_KINDS = {
    'Corner of a box: two clicks': marks.BOX,
    'On the object': marks.ON,
    'Beside it': marks.BESIDE,
    'A point': marks.POINT,
}
_STRIP_HINT = (
    'Confidence over time: red where an object is likely lost, a dot where it'
    ' is marked. Click to go there.'
)
_RESULTS = (
    'overlay.mp4',
    'report.html',
    'tracks.csv',
    'masks.zip',
    'prompts.json',
    'prompts.zip',
)
_KEYS = (
    'Keys: **,** and **.** go a frame back and on, **u** undoes, **t** tracks.'
    ' **c** shows a cross on the frame: arrows move it (with Shift by a pixel),'
    ' Enter clicks.'
)
_IN_TURN = {'concurrency_id': 'edit'}  # Each of these changes the session.
_SCROLL = """
  () => requestAnimationFrame(() => document.querySelector('#film')
    .scrollIntoView({behavior: 'smooth', block: 'start'}))
"""
_NARROW = 80  # Pixels of a button: three of them beside one another on a phone.
_HIDDEN = gr.update(visible=False)
_STAGES = {'track': 'Tracking', 'draw': 'Drawing'}
_CSS = """
  main { max-width: 60rem !important; margin: auto !important; }
  #picture img { max-height: 70vh; cursor: crosshair; }
  #strip img { width: 100%; min-height: 2.5rem; object-fit: fill;
      cursor: pointer; }
  #film video { max-height: 70vh; }
  @media (hover: none) { #keys { display: none; } }
  #downloads .label-clear-button { display: none; }
"""


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
    tracker: video_tracker.VideoTracker,
    turns: Turns | None = None,
    webcams: webcam.Webcams | None = None,
) -> gr.Blocks:
  """Builds the page. Its method `launch` serves it.

  Args:
    tracker: What tracks.
    turns: Who may track when.
    webcams: What tracks the pictures of cameras. None leaves out their tab.
  """
  turns = turns or Turns()

  def open_video(path, kind, request: gr.Request):
    turns.stop(request.session_hash)  # The video before this one.
    with _errors_shown():
      path = _keep(path, request)
      video = video_source.VideoSource(path, max_short_side=_MAX_SHORT_SIDE)
      frame = next(iter(video)).rgb
    opened = editor.Editor(video, 0, frame)
    closed = gr.Column(visible=False)
    return path, *_show(opened, kind, request), gr.Column(visible=True), closed

  def change(session, kind, request: gr.Request, to):
    with _errors_shown():
      session = to(session)
    return _show(session, kind, request)

  def go_to(session, kind, number, request: gr.Request):
    to = lambda session: session.go_to(int(number), tracker)
    return change(session, kind, request, to)

  def go_to_clicked(session, kind, request: gr.Request, event: gr.SelectData):
    number = confidence_strip.frame_at(event.index[0], session.num_frames)
    return go_to(session, kind, number, request)

  def click(session, kind, request: gr.Request, event: gr.SelectData):
    to = lambda session: session.click(kind, *event.index, tracker)
    return change(session, kind, request, to)

  def undo(session, kind, request: gr.Request):
    return change(session, kind, request, lambda s: s.undo(tracker))

  def clear(session, kind, request: gr.Request):
    return change(session, kind, request, lambda s: s.clear())

  def choose(session, kind, number, request: gr.Request):
    to = lambda session: session._replace(chosen=number or None)
    return change(session, kind, request, to)

  def rename(session, kind, name, request: gr.Request):
    if session.marks.names.get(session.chosen, '') == name.strip():
      return [gr.skip()] * len(shown)
    return change(session, kind, request, lambda s: s.rename(name))

  def take_masks(session, kind, path, request: gr.Request):
    to = lambda session: session.take_masks(_keep(path, request), tracker)
    return change(session, kind, request, to)

  def take_tracked(session, kind, tracked, request: gr.Request):
    if session.video is tracked.video:  # It may have been replaced meanwhile.
      session = session._replace(tracked=tracked)
    return change(session, kind, request, lambda s: s)

  def begin(request: gr.Request):
    turns.begin(request.session_hash)
    return [*_swap(True), gr.Column(visible=True), None, _HIDDEN]

  def track(session, request: gr.Request, bar=gr.Progress()):  # noqa: B008
    check = lambda: turns.check(request.session_hash)
    with (
        _errors_shown(),
        tempfile.TemporaryDirectory(prefix='vidcolor_') as folder,
        turns.turn(request.session_hash, lambda text: bar(0, text)),
    ):
      write(session, pathlib.Path(folder), _progress(bar, check))
      check()
      # Gradio serves what is there, and does not copy it.
      kept = tempfile.mkdtemp(dir=_folder(request))
      shutil.copytree(folder, kept, dirs_exist_ok=True)
    outputs = [os.path.join(kept, name) for name in _RESULTS]
    outputs = [path for path in outputs if os.path.exists(path)]
    shown = gr.update(value=outputs, visible=True)
    return outputs[0], shown, session.read_tracked(kept)

  def write(session, folder, progress):
    """Tracks, and writes the results."""
    video, prompt = session.video, session.prompt(folder)
    tracked = tracker.stream(video, prompt, session.marks.made[0].frame)
    summary = track_output.write_tracking(
        folder,
        video,
        prompt,
        tracked,
        progress,
        colors=session.color_table(),
    )
    for told in filter(None, (summary['left_out'], summary['fault'])):
      gr.Warning(told)
    if not session.marks.are_points:
      shutil.make_archive(str(folder / 'masks'), 'zip', folder, 'masks')
    if (folder / editor.GIVEN).exists():
      with zipfile.ZipFile(folder / 'prompts.zip', 'w') as archive:
        for path in (
            folder / 'prompts.json',
            *sorted((folder / editor.GIVEN).iterdir()),
        ):
          archive.write(path, path.relative_to(folder))
      (folder / 'prompts.json').unlink()  # It is no use without the masks.

  def stop(request: gr.Request):
    turns.stop(request.session_hash)

  def leave(request: gr.Request):
    turns.stop(request.session_hash)
    shutil.rmtree(_folder(request), ignore_errors=True)

  with (
      gr.Blocks(
          title='vidcolor', analytics_enabled=False, delete_cache=(3600, 86400)
      ) as page,
      gr.Tabs() as tabs,
      gr.Tab('Video'),
  ):
    session, tracked = gr.State(), gr.State()
    gr.Markdown('# Track anything in your own video\n## 1. Open a video')
    file = gr.File(show_label=False)  # Its content tells its format.
    with gr.Column(visible=False) as mark_step:
      gr.Markdown('## 2. Mark what to track')
      kind = gr.Radio(
          list(_KINDS.items()),
          value=marks.BOX,
          label='A click is',
          elem_classes='choices',
      )
      chosen = gr.Radio(label='It marks', elem_classes='choices')
      name = gr.Textbox(label='Its name', max_lines=1, visible=False)
      hint = gr.Markdown(elem_id='hint')
      picture = gr.Image(
          show_label=False, format='jpeg', buttons=[], elem_id='picture'
      )
      number = gr.Slider(0, 1, step=1, label='Frame', elem_id='frame')
      with gr.Column(visible=False) as confidence:
        gr.Markdown(_STRIP_HINT)
        strip = gr.Image(show_label=False, buttons=[], elem_id='strip')
      with gr.Row():
        undo_button = gr.Button('Undo', min_width=_NARROW, elem_id='undo')
        clear_button = gr.Button('Clear', min_width=_NARROW)
        track_button = gr.Button(
            'Track', variant='primary', min_width=_NARROW, elem_id='track'
        )
      mask_button = gr.UploadButton(
          'Mask of this frame, from a file', size='md'
      )
      gr.Markdown(_KEYS, elem_id='keys')
    with gr.Column(visible=False) as outcome:
      gr.Markdown('## 3. Watch it')
      film = gr.Video(
          show_label=False, autoplay=True, loop=True, buttons=[], elem_id='film'
      )
      stop_button = gr.Button('Stop', variant='stop', visible=False)
      downloads = gr.Files(label='Download', elem_id='downloads', visible=False)

    given = [session, kind]
    shown = [session, picture, hint, undo_button, clear_button, track_button]
    shown += [chosen, name, number, strip, confidence]
    file.upload(open_video, [file, kind], [file, *shown, mark_step, outcome])
    # Keys and the number's field change it without a release.
    number.input(
        go_to, [*given, number], shown, trigger_mode='always_last', **_IN_TURN
    )
    strip.select(go_to_clicked, given, shown, **_IN_TURN)
    picture.select(click, given, shown, **_IN_TURN)
    show_hint = lambda session, kind: session.hint(kind)
    kind.input(show_hint, given, hint, **_IN_TURN)
    chosen.input(choose, [*given, chosen], shown, **_IN_TURN)
    for event in name.submit, name.blur:
      event(
          rename,
          [*given, name],
          shown,
          # What shows progress takes no click, and a click may end the typing.
          show_progress='hidden',
          **_IN_TURN,
      )
    mask_button.upload(take_masks, [*given, mask_button], shown, **_IN_TURN)
    undo_button.click(undo, given, shown, **_IN_TURN)
    clear_button.click(clear, given, shown, **_IN_TURN)
    running = [track_button, stop_button]
    begun = track_button.click(
        begin, outputs=[*running, outcome, film, downloads]
    )
    begun.then(None, js=_SCROLL)
    done = begun.then(
        track,
        session,
        [film, downloads, tracked],
        show_progress_on=film,
        concurrency_limit=None,  # Who waits for a turn can still stop.
    )
    done.success(None, js=_SCROLL)
    done.success(take_tracked, [*given, tracked], shown, **_IN_TURN)
    # Gradio does not run what `then` names after a failure.
    done.success(lambda: _swap(False), outputs=running)
    done.failure(lambda: [*_swap(False), _HIDDEN], outputs=[*running, outcome])
    stop_button.click(stop, queue=False)
    page.unload(leave)
  if webcams:
    with page, tabs, gr.Tab('Camera'):
      webcam.add(webcams)
  return page


def _show(session, kind, request):
  """Returns the session, and the state of all that shows it."""
  numbers = () if session.marks.are_points else session.marks.begins
  strip = session.strip()
  chosen = gr.Radio(
      [
          ('New object', 0),
          *((session.marks.names.get(n, f'Object {n}'), n) for n in numbers),
      ],
      value=session.chosen or 0,
      visible=bool(numbers),
  )
  has_clicks = bool(session.marks.made or session.marks.corner)
  undo = clear = gr.Button(interactive=has_clicks)
  track = gr.Button(interactive=bool(session.marks.made))
  last = max(1, session.num_frames - 1)
  return (
      session,
      _write_picture(session.draw(), '.jpg', request),
      session.hint(kind),
      undo,
      clear,
      track,
      chosen,
      gr.Textbox(
          value=session.marks.names.get(session.chosen, ''),
          visible=bool(numbers) and session.chosen is not None,
      ),
      gr.Slider(maximum=last, value=session.number),
      None if strip is None else _write_picture(strip, '.png', request),
      gr.Column(visible=strip is not None),
  )


def _folder(request):
  """Returns the folder of all files of a session, which ends with it."""
  # A browser chooses the name of its session.
  name = hashlib.sha256(request.session_hash.encode()).hexdigest()[:32]
  return pathlib.Path(utils.get_upload_folder(), name)


def _keep(path, request):
  """Moves an upload to the folder of its session, and returns its path."""
  _folder(request).mkdir(parents=True, exist_ok=True)
  return shutil.move(path, tempfile.mkdtemp(dir=_folder(request)))


def _write_picture(rgb, suffix, request):
  path = _folder(request) / f'{uuid.uuid4().hex}{suffix}'
  cv2.imwrite(str(path), rgb[..., ::-1])
  return str(path)


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
  """Returns a line that names uploads and prompts without their folders."""
  folders = utils.get_upload_folder(), tempfile.gettempdir()
  folders = '|'.join(re.escape(folder + os.sep) for folder in folders)
  return re.sub(rf'({folders})(\w+[/\\])*', '', line)


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
  fast = vidcolor.load_pretrained(flags.FLAGS.checkpoint, preset='fast')
  webcams = webcam.Webcams(fast.propagator)
  turns = Turns()
  _show_warnings()
  with temporary_files_in_one_folder() as folder:
    # Gradio copies results to it. It takes what is there already for a copy.
    folder = os.path.realpath(folder)
    os.environ['GRADIO_TEMP_DIR'] = os.path.join(folder, 'gradio')
    try:
      build(tracker, turns, webcams).launch(
          server_port=flags.FLAGS.port,
          share=flags.FLAGS.share,
          run_history=False,
          footer_links=[],
          theme=gr.themes.Default(**fonts),
          css=_CSS,
          head=f'<script>{_SCRIPT.read_text()}</script>',
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
