"""Colorizes a video with the colors of one of its frames.

python -m vidcolor.colorize --video=grey.mp4 --reference=colored_frame.png \
  --output_dir=OUT

Writes colorized.mp4, strip.jpg (grey, colorized and true frames over time) and
summary.json. The reference is a color picture of any frame of the scene, best
of the first. After a cut the colors are lost: colorize each scene by itself,
with --start and --end. With --num_given=N instead, the first N frames of the
video give the colors.

Only the lightness of the video is used. If the video is in color, and not just
tinted, its colors are the truth. Then summary.json says how close the result is
to it: PSNR of the RGB frames, and ab_error, the mean distance in the ab plane
of Lab. It has the same metrics for grey frames (grey) and for the colors of the
last given frame, each at its old place (unmoved).
"""

import functools
import pathlib
import time

from absl import flags
import tqdm

from vidcolor import color_output
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import network
from vidcolor import program

_VIDEO = program.define_video()
_REFERENCE = flags.DEFINE_string(
    'reference', None, 'A color picture of the scene.'
)
_NUM_GIVEN = flags.DEFINE_integer(
    'num_given',
    None,
    'The number of first frames of the video that give the colors.',
    1,
)
_OUTPUT_DIR = program.define_output_dir()
_CHECKPOINT = program.define_checkpoint()


def main() -> None:
  """Colorizes the video and writes the results."""
  if (_REFERENCE.value is None) == (_NUM_GIVEN.value is None):
    raise errors.UserError(
        'give --reference=FILE or --num_given=N, one of both'
    )
  start = time.time()
  video = _VIDEO.open()
  path, reference = _REFERENCE.value, None
  if path is not None:
    reference = color_output.read_reference(path, video)
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.refuse_to_replace(video.path, output_dir / 'colorized.mp4')
  files.make_folder(output_dir)
  # Colors need no options of their own. Mean ab_error at 240 pixels, on six
  # sequences of DAVIS, every third of the first 30 frames (2026-11-23): the
  # options for masks 4.81; temperature 0.3 instead of 0.07 4.94; top-20 instead
  # of top-5 4.96; both 5.50; top-1 5.10, with more flicker; half the radius
  # 5.46; twice the radius 4.69, in twice the time. On three of them, at 240
  # pixels 5.49, at 360 5.15.
  propagator = network.Network.load(_CHECKPOINT.value).propagator()
  scores = color_output.write_colorization(
      output_dir,
      propagator,
      video,
      reference=reference,
      num_given=_NUM_GIVEN.value or 0,
      # A bar would stand above the one line of an early error.
      progress=functools.partial(tqdm.tqdm, delay=1),
  )
  if scores['left_out']:
    print(f'warning: {scores["left_out"]}')
  files.write_json(
      output_dir / 'summary.json',
      {
          'video': _VIDEO.path.value,
          'reference': path,
          'num_given': _NUM_GIVEN.value,
          'start': _VIDEO.start.value,
          'end': _VIDEO.end.value,
          **scores,
          'seconds': round(time.time() - start),
          **environment.describe(),
      },
  )
  if scores['truth_known']:
    for method, mean in scores['mean'].items():
      print(f'{method}: PSNR {mean["psnr"]:.1f} dB')
  print(f'Look at it: {output_dir / "colorized.mp4"}')
  if scores['fault']:
    raise errors.UserError(scores['fault'])


if __name__ == '__main__':
  program.run(main)
