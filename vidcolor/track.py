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
folder of pictures. Writes overlay.mp4, strip.jpg, masks/<video>/00000.png ...
(of objects, as DAVIS has them), tracks.csv, tracks.npz and summary.json. What
is given is in pixels of the video, what is written in those of the written one,
which --scale makes smaller; frames count from 0 at --start.
"""

import csv
import pathlib
import time

from absl import flags
import numpy as np
from PIL import Image
import tqdm

import vidcolor
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import masks
from vidcolor import prompts
from vidcolor import tracker as tracker_lib
from vidcolor.data import footage
from vidcolor.data import lazy
from vidcolor.data import mp4
from vidcolor.render import followed

_VIDEO = flags.DEFINE_string(
    'video', None, 'A video file, or a folder of pictures.', required=True
)
_PROMPTS = {
    prompts.read_mask: flags.DEFINE_string('mask', None, 'Objects, drawn.'),
    prompts.read_boxes: flags.DEFINE_string('boxes', None, 'Around objects.'),
    prompts.read_points: flags.DEFINE_string('points', None, 'Points.'),
    prompts.read_pose: flags.DEFINE_string('pose', None, 'Joints.'),
}
_OUTPUT_DIR = flags.DEFINE_string(
    'output_dir', None, 'Where everything is written to.', required=True
)
_QUERY_FRAME = flags.DEFINE_integer(
    'query_frame', 0, 'The frame on which it is given.', 0
)
_START = flags.DEFINE_float('start', 0, 'Seconds left out at the start.', 0)
_END = flags.DEFINE_float('end', None, 'Second to stop at.', 0)
_SCALE = flags.DEFINE_float('scale', 1, 'By which frames are shrunk.', 0, 1)
_CHECKPOINT = flags.DEFINE_string(
    'checkpoint',
    None,
    'A run, one checkpoint of it, or what experiments.export wrote; default:'
    ' the network in the package.',
)

_NUM_STILLS = 8


def main(argv):
  """Follows, draws and sums up."""
  if len(argv) > 1:
    raise errors.UserError(f'{argv[1]} is not a flag; see --help')
  start = time.perf_counter()
  prompt = _prompt()
  video = footage.Footage(
      _VIDEO.value, start=_START.value, end=_END.value, scale=_SCALE.value
  )
  output_dir = pathlib.Path(_OUTPUT_DIR.value)
  files.make_folder(output_dir)
  tracker = vidcolor.load_pretrained(_CHECKPOINT.value)
  result = _follow(tracker, video, prompt, output_dir / 'masks')
  seconds = _draw(video, result, prompt, output_dir)
  names = _names(result, prompt)
  _write_tracks(result, seconds, names, output_dir)
  files.write_json(
      output_dir / 'summary.json',
      _summary(video, result, seconds, names)
      | {'given': prompt.name, 'query_frame': _QUERY_FRAME.value}
      | {'seconds': round(time.perf_counter() - start, 1)}
      | environment.describe(),
  )
  print(f'Look at it: {output_dir / "overlay.mp4"}')


def _prompt():
  given = [(read, f.value) for read, f in _PROMPTS.items() if f.value]
  if len(given) != 1:
    names = [f'--{flag.name}' for flag in _PROMPTS.values()]
    raise errors.UserError(f'give one of {", ".join(names)}')
  ((read, value),) = given
  return read(value)


def _follow(tracker, video, prompt, masks_dir):
  """What is found, its masks written to a folder and read when asked for."""
  found = tqdm.tqdm(
      tracker.stream(video, prompt, _QUERY_FRAME.value),
      desc='track',
      delay=1,  # Whatever is wrong ends in one line without a bar.
      total=video.num_frames,
      unit='frame',
  )
  if isinstance(prompt, prompts.Points):
    return tracker_lib.collect(found)
  kept = []
  with files.folder_written_whole(masks_dir) as folder:
    (folder / video.path.stem).mkdir()
    for one in found:
      masks.write(folder / video.path.stem / f'{one.frame:05d}.png', one.mask)
      kept.append(one._replace(mask=None))
  folder = masks_dir / video.path.stem
  paths = [folder / f'{number:05d}.png' for number in range(len(kept))]
  result = tracker_lib.collect(kept)
  return result._replace(masks=lazy.Lazy(paths, masks.read))


def _draw(video, result, prompt, output_dir):
  """Writes the film and the stills; returns the time of each frame."""
  draw = followed.painter(
      numbers=result.numbers,
      masks=result.masks,
      position=result.position,
      visible=result.visible,
      limbs=prompt.limbs if isinstance(prompt, prompts.Points) else (),
  )
  count = len(result.position)
  still_numbers = np.linspace(0, count - 1, min(count, _NUM_STILLS)).astype(int)
  seconds, stills = [], []

  def drawn():
    for number, frame in enumerate(
        tqdm.tqdm(video, desc='draw', total=count, unit='frame')
    ):
      rgb = draw(number, frame.rgb)
      seconds.append(frame.seconds)
      if number in still_numbers:
        stills.append(rgb)
      yield frame._replace(rgb=rgb)

  mp4.write_like(output_dir / 'overlay.mp4', drawn(), video)
  titles = [f'{number}: {seconds[number]:.1f} s' for number in still_numbers]
  with files.written_whole(output_dir / 'strip.jpg') as temporary:
    Image.fromarray(followed.strip(stills, titles)).save(temporary, quality=92)
  return seconds


def _names(result, prompt):
  if isinstance(prompt, prompts.Points) and prompt.names:
    return prompt.names
  return [str(number) for number in result.numbers]


def _write_tracks(result, seconds, names, output_dir):
  """tracks.csv, a line for each frame and object, and tracks.npz."""
  x, y = np.moveaxis(result.position, -1, 0)
  with files.written_whole(output_dir / 'tracks.npz') as temporary:
    np.savez_compressed(
        temporary,
        x=x,
        y=y,
        visible=result.visible,
        confidence=result.confidence,
        names=np.array(names),
        seconds=np.array(seconds),
    )
  with (
      files.written_whole(output_dir / 'tracks.csv') as temporary,
      open(temporary, 'w', newline='') as file,
  ):
    writer = csv.writer(file)
    writer.writerow(
        ['frame', 'seconds', 'name', 'x', 'y', 'visible', 'confidence']
    )
    for frame, row in enumerate(zip(seconds, *result[2:], strict=True)):
      second, position, visible, confidence = row
      for name, xy, seen, sure in zip(
          names, position, visible, confidence, strict=True
      ):
        place = ['' if np.isnan(v) else f'{v:.2f}' for v in xy]
        writer.writerow(
            [frame, f'{second:.3f}', name, *place, int(seen), f'{sure:.3f}']
        )


def _summary(video, result, seconds, names):
  """What came of it, for people and programs."""
  height, width = video.size
  lost = ~result.visible
  return {
      'video': str(video.path),
      'width': width,
      'height': height,
      'frames': len(seconds),
      'frames_per_second': (
          (len(seconds) - 1) / seconds[-1] if len(seconds) > 1 else None
      ),
      'followed': {
          name: {
              'visible': float(1 - lost[:, index].mean()),
              'mean_confidence': float(result.confidence[:, index].mean()),
              'lost_frames': _runs(lost[:, index]),
          }
          for index, name in enumerate(names)
      },
  }


def _runs(flags_by_frame):
  """First and last frame of each run of True."""
  steps = np.diff(np.r_[0, flags_by_frame.astype(int), 0])
  starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1) - 1
  return np.stack([starts, ends], axis=-1).tolist()


if __name__ == '__main__':
  errors.run(main)
