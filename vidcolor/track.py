"""Tracks objects or points through a video.

python -m vidcolor.track --video=clip.mp4 --boxes="120,80,310,260" \
  --output_dir=out

One of these flags marks the objects or points in frame --query_frame:

  --mask=first.png            objects: a palette, black and white, or color
                              picture of the frame's size
  --boxes="x0,y0,x1,y1;..."   objects: left, top, right, bottom
  --points="x,y;x,y"          points; or a file points.csv
  --pose=joints.json          joints: {"joints": {"neck": [x, y], ...},
                                       "limbs": [["neck", "hip"], ...]}

--names=cat,dog names the objects, in the order of their numbers, or the points.
The names are drawn, and stand in the tables.

Tracking goes from there to both ends of the video.

  --grid=20                   points in a grid over the frame, 20 of them along
                              its longer side; or, with --mask or --boxes, over
                              each object, 20 along the longer side of the box
                              around it. Points that are not on the object are
                              left out. Of several objects, point 7 of object 2
                              is called 2-7.

--video='videos/*.mp4' (in quotes) tracks many videos, into a folder for each.
What marks clip.mp4 lies beside it: clip.json (as for --prompts), clip.png
(--mask), clip.csv (--points) or the folder clip (--masks). A broken video does
not stop the others. The same command again only tracks what is missing.

One of these marks objects in several frames. Objects begin in the first frame
that marks them, and later marks correct them. What a mark says holds from its
frame on; only the first one also holds before it.

  --prompts=prompts.json      [{"frame": 0, "number": 1, "box": [1, 2, 30, 40]},
                               {"frame": 57, "number": 2,
                                "points": [[x, y, 1], [x, y, 0]]},
                               {"frame": 80, "number": 1, "mask": "080.png"}]
                              Any may have a name: "name": "cat".
                              points: 1 on the object, 0 beside it; paths are
                              relative to the file
  --masks=FOLDER              masks of any frames, PNG. In a folder of pictures,
                              a mask is named as its picture (00057.png for
                              00057.jpg). Otherwise, its name is the number of
                              its frame (57.png or 00057.png).

The video may be a folder of pictures or a TIFF stack, which are played at --fps
frames a second, or an animated picture. If it is damaged, the results end
there, and the exit code is 2.

Writes report.html (one page to look at or send, of overlay.mp4, strip.jpg and
confidence.png), masks/<video>/00000.png ... (of objects, in the format of
DAVIS), tracks.csv and tracks.npz (positions, and boxes and areas of objects)
and summary.json. On request, it also writes objects in other forms:

  --cutouts                   cutouts/<video>/00000.png ... and cutouts.webm:
                              the objects on a transparent ground
  --export=coco,cvat,mot,yolo,contours,svg
                              any of coco.json (masks), cvat.xml (masks, CVAT
                              for video 1.1), mot/ (boxes, MOTChallenge), yolo/
                              (polygons), contours.json (outlines) and svg/
                              (outlines, a drawing for each frame);
                              vidcolor.export_formats tells what each holds

The flags are in pixels of the video, results in pixels of the film, which
--scale makes smaller. Frames and seconds count from 0 at --start.

--camera=0 in place of --video tracks what the first camera of this machine
sees, until Ctrl-C or --end. Frames that come while the tracker is busy are
dropped. --mask, --boxes and --points mark the first frame, --start seconds
after the camera starts. The preset is fast unless --preset is given. A video
file in place of a camera plays as if it were one.
"""

from collections.abc import Iterator
import contextlib
import functools
import pathlib
import signal
import time

from absl import flags
import numpy as np
import tqdm

from vidcolor import batch
from vidcolor import cutouts
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import grids
from vidcolor import live
from vidcolor import network
from vidcolor import program
from vidcolor import prompts
from vidcolor import prompts_over_time
from vidcolor import sessions
from vidcolor import track_output
from vidcolor import video_tracker
from vidcolor.video import camera

_VIDEO = program.define_video(required=False)
_CAMERA = flags.DEFINE_string(
    'camera',
    None,
    'The number of a camera, such as 0, or the path of its device.',
)
_PROMPTS = {
    prompts.read_mask: flags.DEFINE_string('mask', None, 'A mask of objects.'),
    prompts.read_boxes: flags.DEFINE_string(
        'boxes', None, 'Boxes around objects.'
    ),
    prompts.read_points: flags.DEFINE_string(
        'points', None, 'Points, or a CSV file.'
    ),
    prompts.read_pose: flags.DEFINE_string(
        'pose', None, 'A JSON file of joints.'
    ),
    prompts_over_time.read_prompts: flags.DEFINE_string(
        'prompts', None, 'A JSON file of boxes, clicks and masks over time.'
    ),
    prompts_over_time.read_masks: flags.DEFINE_string(
        'masks',
        None,
        'A folder of masks of any frames. A mask has the name of its picture if'
        ' the video is a folder, else the number of its frame.',
    ),
}
_OUTPUT_DIR = program.define_output_dir()
_QUERY_FRAME = flags.DEFINE_integer(
    'query_frame', 0, 'The number of the marked frame.', 0
)
_NAMES = flags.DEFINE_list(
    'names', [], 'A name for each object, in the order of their numbers.'
)
_GRID = flags.DEFINE_integer(
    'grid',
    None,
    'Tracks a grid of points: the number along the longer side of the frame, or'
    ' of each object that --mask or --boxes marks.',
    1,
)
_SCALE = flags.DEFINE_float(
    'scale', 1, 'Factor by which frames are shrunk.', 0, 1
)
_EXPORT = flags.DEFINE_list(
    'export',
    [],
    'Formats to write objects in as well: coco, cvat, mot, yolo, contours,'
    ' svg.',
)
_CUTOUTS = flags.DEFINE_boolean(
    'cutouts',
    False,
    'Whether to write objects on a transparent ground as well.',
)
_CHECKPOINT = program.define_checkpoint()
_PRESET = program.define_preset()


def main() -> None:
  """Tracks, and writes the results."""
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  if bool(_VIDEO.path.value) == bool(_CAMERA.value):
    raise errors.UserError('give one of --video and --camera')
  if _CAMERA.value:
    _refuse_flags_of_videos()
    _track_camera(_CAMERA.value, *_given(), output_dir)
    print(f'Look at it: {output_dir / "report.html"}')
    return
  if batch.is_pattern(_VIDEO.path.value):
    _refuse_flags_of_one_video()
    videos = batch.find_videos(_VIDEO.path.value)
    _tracker()  # So that a wrong --checkpoint is told once.
    batch.track_each(videos, output_dir, _track_marked, _options())
    return
  read, value = _given()
  # A bar would stand above the one line of an early error.
  progress = functools.partial(tqdm.tqdm, delay=1)
  summary = _track(_VIDEO.path.value, read, value, output_dir, progress)
  if summary['left_out']:
    print(summary['left_out'])
  print(f'Look at it: {output_dir / "report.html"}')
  if summary['fault']:
    raise errors.UserError(summary['fault'])


def _refuse_flags_of_one_video():
  for flag in (*_PROMPTS.values(), _QUERY_FRAME, _NAMES):
    if flag.present:
      raise errors.UserError(
          f'--{flag.name} is for one video: of several, each has its own marks'
          ' beside it, such as clip.json or clip.png beside clip.mp4'
      )


def _refuse_flags_of_videos():
  over_time = (
      _PROMPTS[prompts_over_time.read_prompts],
      _PROMPTS[prompts_over_time.read_masks],
  )
  for flag in (
      *over_time,
      _QUERY_FRAME,
      _VIDEO.fps,
      _GRID,
      _EXPORT,
      _CUTOUTS,
  ):
    if flag.present:
      raise errors.UserError(
          f'--{flag.name} is for videos: leave it out, or leave out --camera'
      )


def _track_camera(device, read, value, output_dir):
  """Tracks until the camera ends or is stopped, and writes all results."""
  prompt, names = _name(read(value))
  source = camera.Camera(
      device,
      start=_VIDEO.start.value,
      end=_VIDEO.end.value,
      scale=_SCALE.value,
  )
  preset = _PRESET.value if _PRESET.present else 'fast'
  for path in source.name, value:
    files.refuse_to_replace(
        path, output_dir / 'overlay.mp4', output_dir / 'masks' / 'camera'
    )
  pace = camera.Pace()
  # It holds one line, which is written again and again.
  with tqdm.tqdm(bar_format='{desc}', desc='getting ready') as line:
    propagator = network.Network.load(_CHECKPOINT.value).propagator(preset)

    def tracked():
      for frame, found in live.follow(propagator, source, prompt):
        pace.add(source.age(frame))
        line.set_description_str(pace.describe(source.dropped))
        yield frame, found

    with _ended_by_signals(source, pace):
      summary = track_output.write_live(
          output_dir, source, prompt, tracked(), names
      )
  summary |= {
      'given': prompt.name,
      'preset': preset,
      'scale': _SCALE.value,
      'checkpoint': _CHECKPOINT.value,
      'latency_ms': round(1000 * pace.mean_latency),
      'dropped_frames': source.dropped,
  }
  files.write_json(
      output_dir / 'summary.json', summary | environment.describe()
  )


@contextlib.contextmanager
def _ended_by_signals(source, pace) -> Iterator[None]:
  """Lets Ctrl-C or SIGTERM end the camera, and so the film that was begun."""
  numbers = signal.SIGINT, signal.SIGTERM
  before = {number: signal.getsignal(number) for number in numbers}

  def restore():
    for number in numbers:
      signal.signal(number, before[number])

  def stop(*_):
    restore()  # The next one ends the program at once.
    if not pace.count:
      raise KeyboardInterrupt
    source.stop()

  for number in numbers:
    signal.signal(number, stop)
  try:
    yield
  finally:
    restore()


def _track_marked(marked, output_dir, progress):
  (read,) = (r for r, flag in _PROMPTS.items() if flag.name == marked.kind)
  path, prompt = str(marked.video), str(marked.prompt)
  return _track(path, read, prompt, output_dir, progress)


def _track(path, read, value, output_dir, progress):
  """Tracks one video, and writes all results; returns the summary."""
  start = time.perf_counter()
  video = _VIDEO.open(path, scale=_SCALE.value)
  prompt, names = _name(_read_prompt(read, value, video))
  query_frame, sources = _QUERY_FRAME.value, [video.path, value]
  if isinstance(prompt, prompts_over_time.PromptsOverTime):
    query_frame = prompt.frames[0]
    sources = [*sources, *prompt.sources]
  outputs = [output_dir / 'overlay.mp4', output_dir / 'masks' / video.name]
  if _CUTOUTS.value:
    outputs += cutouts.cutout_paths(output_dir, video)
  for source in sources:
    files.refuse_to_replace(source, *outputs)
  files.make_folder(output_dir)
  summary = track_output.write_tracking(
      output_dir,
      video,
      prompt,
      _tracker().stream(video, prompt, query_frame),
      progress,
      export=_EXPORT.value,
      with_cutouts=_CUTOUTS.value,
      names=names,
  )
  summary |= {'given': prompt.name, 'query_frame': query_frame} | _options()
  summary |= {'seconds': round(time.perf_counter() - start, 1)}
  summary |= environment.describe()
  files.write_json(output_dir / 'summary.json', summary)
  return summary


def _read_prompt(read, value, video):
  if read is prompts_over_time.read_masks:
    prompt = read(value, video.frame_names)
  else:
    prompt = read(value) if read else None
  return _make_grid(video, prompt, _GRID.value) if _GRID.value else prompt


def _name(prompt):
  """Returns a prompt with the names of its points, and those of its objects."""
  given = _NAMES.value
  if not given:
    return prompt, {}
  numbers = prompts_over_time.numbers_of(prompt)
  if len(given) != len(numbers):
    raise errors.UserError(
        f'--names has {len(given)} names, and {prompt.name} marks'
        f' {len(numbers)}: give one for each'
    )
  names = dict(zip(numbers, given, strict=True))
  prompts.require_names(names, '--names')
  if isinstance(prompt, prompts.PointPrompt):
    return prompt._replace(names=tuple(given)), {}
  return prompt, names


def _make_grid(video, prompt, count):
  """Returns points over the objects of a prompt, or over the frame."""
  name = f'--grid={count}'
  if prompt is None:
    objects = {1: grids.over_frame(video.size, count)}
  elif isinstance(prompt, prompts.MaskPrompt | prompts.BoxPrompt):
    _, frame = video.frame(_QUERY_FRAME.value)
    size = video_tracker.prompt_size(video, prompt)
    mask = sessions.locate(_tracker().propagator, frame.rgb, prompt, size)
    objects, name = grids.over_objects(mask, count), prompt.name
  else:
    raise errors.UserError(
        f'{name} is over --mask or --boxes, or over the frame: leave it out, or'
        f' leave out {prompt.name}'
    )
  names = [
      f'{number}-{index}' if len(objects) > 1 else f'{index}'
      for number, points in objects.items()
      for index, _ in enumerate(points, 1)
  ]
  scale = np.divide(video.full_size, video.size)[::-1]
  points = (np.concatenate(list(objects.values())) + 0.5) * scale - 0.5
  return prompts.PointPrompt(points, name, tuple(names))


@functools.cache
def _tracker():
  loaded = network.Network.load(_CHECKPOINT.value)
  return video_tracker.VideoTracker(loaded.propagator(_PRESET.value))


def _options():
  """Returns the flags that results depend on, by name."""
  holders = _VIDEO.start, _VIDEO.end, _VIDEO.fps, _SCALE, _GRID
  holders = *holders, _EXPORT, _CUTOUTS, _CHECKPOINT, _PRESET
  return {flag.name: flag.value for flag in holders}


def _given():
  """Returns what reads the one given flag, and the flag's value.

  For a grid over the whole frame, nothing is read.
  """
  given = [(read, f) for read, f in _PROMPTS.items() if f.value]
  if _GRID.value and not given:
    return None, ''
  if len(given) != 1:
    names = [f'--{flag.name}' for flag in _PROMPTS.values()]
    only = 'only ' if given else ''
    raise errors.UserError(f'give {only}one of {", ".join(names)}')
  ((read, flag),) = given
  over_time = read in (
      prompts_over_time.read_prompts,
      prompts_over_time.read_masks,
  )
  if over_time and _QUERY_FRAME.present:
    raise errors.UserError(
        f'--{flag.name} says which frames are marked: leave out --query_frame'
    )
  return read, str(flag.value)


if __name__ == '__main__':
  program.run(main)
