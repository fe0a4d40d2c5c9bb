"""Follows objects or points through a video, with one given frame.

python -m vidcolor.track --video=clip.mp4 --boxes="120,80,310,260" \
  --output_dir=out

What to follow is one of

  --mask=first.png            objects: a palette, black and white, or coloured
                              picture of the frame's size
  --boxes="x0,y0,x1,y1;..."   objects: left, top, right, bottom, in pixels
  --points="x,y;x,y"          points, in pixels; or a file points.csv
  --pose=joints.json          {"joints": {"neck": [x, y], ...},
                               "limbs": [["neck", "hip"], ...]}

given on frame --query_frame, and followed to both ends. The video may be a
folder of pictures, shown at 25 a second. Writes overlay.mp4, strip.jpg,
masks/<video>/00000.png ... (of objects, as DAVIS has them), tracks.csv,
tracks.npz and summary.json. What is given is in pixels of the video, what is
written in those of the written one, which --scale makes smaller; frames and
seconds count from 0 at --start.
"""

import functools
import pathlib
import time

from absl import flags
import tqdm

import vidcolor
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor import prompts
from vidcolor import track_output
from vidcolor.video import video_source

_VIDEO = program.define_video()
_PROMPTS = {
    prompts.read_mask: flags.DEFINE_string('mask', None, 'Objects, drawn.'),
    prompts.read_boxes: flags.DEFINE_string('boxes', None, 'Around objects.'),
    prompts.read_points: flags.DEFINE_string('points', None, 'Points.'),
    prompts.read_pose: flags.DEFINE_string('pose', None, 'Joints.'),
}
_OUTPUT_DIR = program.define_output_dir()
_QUERY_FRAME = flags.DEFINE_integer(
    'query_frame', 0, 'The frame on which it is given.', 0
)
_SCALE = flags.DEFINE_float('scale', 1, 'By which frames are shrunk.', 0, 1)
_CHECKPOINT = program.define_checkpoint()


def main() -> None:
  """Follows, draws and sums up."""
  start = time.perf_counter()
  prompt = _prompt()
  video = video_source.VideoSource(
      _VIDEO.path.value,
      start=_VIDEO.start.value,
      end=_VIDEO.end.value,
      scale=_SCALE.value,
  )
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.refuse_to_replace(
      video.path, output_dir / 'overlay.mp4', output_dir / 'masks' / video.name
  )
  files.make_folder(output_dir)
  tracker = vidcolor.load_pretrained(_CHECKPOINT.value)
  found = tracker.stream(video, prompt, _QUERY_FRAME.value)
  # Whatever is wrong ends in one line without a bar.
  progress = functools.partial(tqdm.tqdm, delay=1)
  summary = track_output.write(output_dir, video, prompt, found, progress)
  files.write_json(
      output_dir / 'summary.json',
      summary
      | {'given': prompt.name, 'query_frame': _QUERY_FRAME.value}
      | {
          'start': _VIDEO.start.value,
          'end': _VIDEO.end.value,
          'scale': _SCALE.value,
      }
      | {'checkpoint': _CHECKPOINT.value}
      | {'seconds': round(time.perf_counter() - start, 1)}
      | environment.describe(),
  )
  if summary['left_out']:
    print(summary['left_out'])
  print(f'Look at it: {output_dir / "overlay.mp4"}')


def _prompt():
  given = [(read, f.value) for read, f in _PROMPTS.items() if f.value]
  if len(given) != 1:
    names = [f'--{flag.name}' for flag in _PROMPTS.values()]
    only = 'only ' if given else ''
    raise errors.UserError(f'give {only}one of {", ".join(names)}')
  ((read, value),) = given
  return read(value)


if __name__ == '__main__':
  program.run(main)
