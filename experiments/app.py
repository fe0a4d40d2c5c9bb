"""A page to click on: open a video, show what to follow, watch it followed.

pip install -e '.[app]'
python -m experiments.app

and open the address that it prints. Frames of a short side above 480 pixels are
shrunk to that. What people open and get lies in a temporary folder, which goes
when the program ends.
"""

import collections
import contextlib
import itertools
import os
import pathlib
import shutil
import tempfile
import time
from typing import NamedTuple

from absl import flags
import gradio as gr
import tqdm

from experiments import click_prompts
import vidcolor
from vidcolor import errors
from vidcolor import program
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.video import video_source

_SHORT_SIDE = 480
_KINDS = {
    'Objects: two clicks make a box around each': True,
    'Points: one click each': False,
}
_SCROLL = """
  () => requestAnimationFrame(() => document.querySelector('#film')
    .scrollIntoView({behavior: 'smooth', block: 'start'}))
"""
_HIDDEN = gr.update(visible=False)
_STAGES = {'track': 'Following', 'draw': 'Drawing'}
_CSS = """
  main { max-width: 60rem !important; margin: auto !important; }
  #picture img { max-height: 70vh; cursor: crosshair; }
  #film video { max-height: 70vh; }
  #downloads .label-clear-button { display: none; }
"""


class Session(NamedTuple):
  """What one person has open: a video, and what is marked in a frame of it."""

  video: video_source.VideoSource
  number: int
  marks: click_prompts.Marks


def build(tracker: video_tracker.VideoTracker) -> gr.Blocks:
  """The page; `launch` it."""
  stopped = set()  # Sessions that do not want what is under way.

  def open_video(path, is_boxes):
    with _errors_shown(path):
      video = video_source.VideoSource(path)
      scale = min(1, _SHORT_SIDE / min(video.size))
      video = video_source.VideoSource(path, scale=scale)
      marks = click_prompts.Marks(next(iter(video)).rgb, is_boxes)
    last = max(1, (video.num_frames or 1) - 1)
    return (
        *_show(Session(video, 0, marks)),
        gr.Column(visible=True),
        gr.Slider(maximum=last, value=0),
        gr.Column(visible=False),
    )

  def choose_frame(session, number, is_boxes):
    with _errors_shown(session.video.path):
      frames = enumerate(itertools.islice(session.video, number + 1))
      # Its last one, if it ends before.
      ((number, frame),) = collections.deque(frames, maxlen=1)
    marks = click_prompts.Marks(frame.rgb, is_boxes)
    return *_show(Session(session.video, number, marks)), number

  def click(session, event: gr.SelectData):
    with _errors_shown(session.video.path):
      marks = session.marks.click(*event.index, tracker.propagator.embed)
    return _show(session._replace(marks=marks))

  def undo(session):
    return _show(session._replace(marks=session.marks.undo()))

  def clear(session, is_boxes):
    marks = click_prompts.Marks(session.marks.frame, is_boxes)
    return _show(session._replace(marks=marks))

  def track(session, request: gr.Request, bar=gr.Progress()):  # noqa: B008
    stopped.discard(request.session_hash)
    progress = _progress(bar, lambda: request.session_hash in stopped)
    video, prompt = session.video, session.marks.prompt(session.video)
    found = tracker.stream(video, prompt, session.number)
    with (
        _errors_shown(video.path),
        tempfile.TemporaryDirectory(prefix='vidcolor_') as folder,
    ):
      summary = track_output.write(
          pathlib.Path(folder), video, prompt, found, progress
      )
      if summary['left_out']:
        gr.Warning(summary['left_out'])
      outputs = [f'{folder}/overlay.mp4', f'{folder}/tracks.csv']
      if session.marks.is_boxes:
        outputs.append(
            shutil.make_archive(f'{folder}/masks', 'zip', folder, 'masks')
        )
      # Gradio copies them before it goes on here.
      yield outputs[0], gr.update(value=outputs, visible=True)

  def stop(request: gr.Request):
    stopped.add(request.session_hash)

  with gr.Blocks(
      title='vidcolor', analytics_enabled=False, delete_cache=(3600, 86400)
  ) as page:
    session = gr.State()
    gr.Markdown('# Track anything in your own video\n## 1. Open a video')
    file = gr.File(show_label=False, file_types=['video', '.mkv'])
    with gr.Column(visible=False) as marking_step:
      gr.Markdown('## 2. Show what to follow')
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
        open_video, [file, is_boxes], [*shown, marking_step, number, outcome]
    )
    number.release(choose_frame, [session, number, is_boxes], [*shown, number])
    picture.select(click, session, shown)
    is_boxes.change(clear, [session, is_boxes], shown)
    undo_button.click(undo, session, shown)
    clear_button.click(clear, [session, is_boxes], shown)
    running = [track_button, stop_button]
    begun = track_button.click(
        lambda: [*_swap(True), gr.Column(visible=True), None, _HIDDEN],
        outputs=[*running, outcome, film, downloads],
    )
    begun.then(None, js=_SCROLL)
    tracked = begun.then(
        track, session, [film, downloads], show_progress_on=film
    )
    tracked.success(None, js=_SCROLL)
    # After a failure, what `then` names does not run.
    tracked.success(lambda: _swap(False), outputs=running)
    tracked.failure(
        lambda: [*_swap(False), _HIDDEN], outputs=[*running, outcome]
    )
    stop_button.click(stop, queue=False)
    page.unload(stop)
  return page


def _show(session):
  """The session, and what the page shows of it."""
  marks = session.marks
  some = gr.Button(interactive=bool(marks.given or marks.corner))
  trackable = gr.Button(interactive=bool(marks.given))
  return session, marks.draw(), marks.hint(), some, some, trackable


def _swap(is_running):
  """Track, or Stop in its place."""
  return [gr.Button(visible=not is_running), gr.Button(visible=is_running)]


def _progress(bar, is_stopped):
  """Shows how far `track_output.write` is, and the time left of each stage."""

  def progress(items, desc, total, unit):
    stage = _STAGES[desc]
    bar(0, f'{stage} from the first {unit}')
    start = time.monotonic()
    for done, item in enumerate(items):
      if is_stopped():
        raise errors.UserError('stopped: click Track to begin again')
      if done == 0:  # Not counted: networks are compiled for it.
        start = time.monotonic()
      elif total:
        left = (time.monotonic() - start) / done * max(0, total - 1 - done)
        left = tqdm.tqdm.format_interval(left)
        text = f'{stage}: {unit} {done + 1} of {total}, {left} left'
        bar(min(1, (done + 1) / total), text)
      yield item

  return progress


@contextlib.contextmanager
def _errors_shown(path):
  """Shows what a person can mend, but not in which folder uploads lie."""
  try:
    yield
  except errors.UserError as error:
    message = str(error).replace(f'{pathlib.Path(path).parent}/', '')
    raise gr.Error(message, print_exception=False) from error


def main() -> None:
  """Serves the page until it is interrupted."""
  tracker = vidcolor.load_pretrained(flags.FLAGS.checkpoint)
  fonts = {'font': ['system-ui', 'sans-serif'], 'font_mono': ['monospace']}
  with tempfile.TemporaryDirectory(prefix='vidcolor_') as folder:
    os.environ['GRADIO_TEMP_DIR'] = folder
    try:
      build(tracker).launch(
          server_port=flags.FLAGS.port,
          share=flags.FLAGS.share,
          run_history=False,
          footer_links=[],
          theme=gr.themes.Default(**fonts),
          css=_CSS,
      )
    except OSError as error:
      raise errors.UserError(
          f'--port={flags.FLAGS.port}: it is taken: give another one'
      ) from error


if __name__ == '__main__':
  flags.DEFINE_integer('port', None, 'Default: the first free one from 7860.')
  flags.DEFINE_bool('share', False, 'Gives a public address, too.')
  flags.DEFINE_string('checkpoint', None, 'As that of vidcolor.track.')
  program.run(main)
