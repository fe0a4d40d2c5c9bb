"""Compares the input pipeline and the preparation with simple programs.

python -m experiments.benchmarks.input_pipeline --clips_dir=VIDEOS

The pipeline reads clips of 4 frames of 256 x 256, at 6 frames a second, with
one worker process from a dataset that is first built from the videos. PyAV,
OpenCV and, if installed, decord (`pip install decord==0.6.0`) read the videos
themselves. All take turns on one core. The measured time is the processor time
of all processes, which other programs hardly disturb. All files are cached in
memory. The program runs on Linux only.
"""

from collections.abc import Callable, Iterator, Mapping
import importlib.util
import io
import multiprocessing
import os
import pathlib
import statistics
import tempfile
import time

from absl import flags
import av
import cv2
import numpy as np

from data_prep.kinetics import kinetics
from vidcolor import environment
from vidcolor import errors
from vidcolor import files
from vidcolor import program
from vidcolor.data import clips
from vidcolor.data import images
from vidcolor.data import records as records_lib

_CLIPS_DIR = flags.DEFINE_string(
    'clips_dir', None, 'Folder of MP4 files.', required=True
)
_NUM_CLIPS = flags.DEFINE_integer('num_clips', 64, 'Files to use.', 1)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each reader.', 1)
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file to write.')

_NUM_FRAMES = 4
_RATE = 6
_SIZE = 256
_QUALITY = 90
_BATCH_SIZE = 32
_SAMPLES = 64  # Clips in a turn. The pipeline reads five times as many.
_NUM_PREPARED = 16  # Videos in a turn.
_CLIP = dict(
    num_frames=_NUM_FRAMES, max_frame_step=1, crop_size=_SIZE, min_scale=1.0
)


def main() -> None:
  """Prints medians and the profile of the pipeline."""
  paths = _choose_videos(_CLIPS_DIR.value, _NUM_CLIPS.value)
  os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
  with tempfile.TemporaryDirectory() as folder:
    builder = _build(paths, pathlib.Path(folder))
    specs = list(builder.list_clips()[0]['train'])
    records = records_lib.open_records('kinetics', builder.data_dir_root)
    loading, profile = _measure_loading(paths, records)
    preparation = _measure_preparation(specs)
  machine = environment.describe()
  print(f'\n{machine["machine"]}; {len(paths)} videos, {len(records)} records')
  _print_table(f'clips of {_NUM_FRAMES} frames a core second', loading)
  print('\nmilliseconds a clip of the pipeline:')
  for stage, seconds in profile.items():
    share = seconds / sum(profile.values())
    print(f'  {stage:12}{1e3 * seconds:6.2f}  {share:4.0%}')
  _print_table('preparation: video seconds a core second', preparation)
  if _OUTPUT.value:
    results = {'loading': loading, 'preparation': preparation}
    results |= {'profile': profile, **machine}
    files.write_json(_OUTPUT.value, results)


def _choose_videos(folder, count):
  paths = [str(path) for path in files.visible(folder, ('.mp4',))]
  if not paths:
    raise errors.UserError(f'no MP4 files in --clips_dir={folder}')
  return paths[:: max(1, len(paths) // count)][:count]


def _build(paths, folder):
  (folder / 'videos').mkdir()
  for path in paths:
    (folder / 'videos' / os.path.basename(path)).symlink_to(
        os.path.abspath(path)
    )
  builder = kinetics.Kinetics(
      source_dir=folder / 'videos', data_dir=folder, num_workers=1
  )
  builder.download_and_prepare()
  return builder


def _measure_loading(paths, records):
  """Returns clips a core second by reader, and the pipeline's profile."""
  load = {'PyAV from MP4': load_by_pyav, 'OpenCV from MP4': load_by_opencv}
  if importlib.util.find_spec('decord'):
    load['decord from MP4'] = load_by_decord
  else:
    print('decord is not installed and is left out')
  rng = np.random.default_rng(0)
  batches = clips.training_batches(
      records, batch_size=_BATCH_SIZE, num_workers=1, seed=0, **_CLIP
  )
  rates = {'pipeline': [], **{name: [] for name in load}}
  profiles = []
  for _ in range(_ROUNDS.value):
    rates['pipeline'].append(_pipeline_rate(batches))
    for name, function in load.items():
      chosen = [paths[i] for i in rng.integers(len(paths), size=_SAMPLES)]
      seconds = _seconds(lambda f=function, c=chosen: [f(p, rng) for p in c])
      rates[name].append(_SAMPLES / seconds)
    profiles.append(_profile(records, rng))
  batches.close()
  profile = {
      stage: statistics.median(profile[stage] for profile in profiles)
      for stage in profiles[0]
  }
  total = 1 / statistics.median(rates['pipeline'])
  # The rest: shared memory, queues and Grain.
  profile['handover'] = max(0, total - sum(profile.values()))
  return rates, profile


def _pipeline_rate(batches):
  for _ in range(5):  # The worker prefetched during the other turns.
    next(batches)
  num_batches = 5 * _SAMPLES // _BATCH_SIZE
  start = _seconds_of_all()
  for _ in range(num_batches):
    next(batches)
  return num_batches * _BATCH_SIZE / (_seconds_of_all() - start)


def _seconds_of_all():
  """Returns the processor time of this process and its workers."""
  seconds = time.process_time()
  for worker in multiprocessing.active_children():
    assert worker.pid
    # The ID of another process's clock, as in clock_getcpuclockid(3).
    seconds += time.clock_gettime((~worker.pid << 3) | 2)
  return seconds


def _seconds(function: Callable[[], object]) -> float:
  start = time.process_time()
  function()
  return time.process_time() - start


def _profile(records, rng) -> dict[str, float]:
  """Returns the seconds a clip of each part of the pipeline."""
  seconds = dict.fromkeys(('read', 'parse', 'decode', 'crop', 'batch'), 0.0)
  made = []
  for index in rng.integers(len(records), size=_SAMPLES):
    start = time.process_time()
    record = records[index]
    was_read = time.process_time()
    encoded = records_lib.parse(record)[1][:_NUM_FRAMES]
    parsed = time.process_time()
    for jpeg in encoded:
      images.decode(jpeg)
    decoded = time.process_time()
    made.append(clips.sample_clip(record, rng, **_CLIP)['frames'])
    sampled = time.process_time()
    seconds['read'] += was_read - start
    seconds['parse'] += parsed - was_read
    seconds['decode'] += decoded - parsed
    # Sampling includes parsing and decoding; the rest is the crop.
    seconds['crop'] += (sampled - decoded) - (decoded - was_read)
  for start in range(0, _SAMPLES, _BATCH_SIZE):
    batch = made[start : start + _BATCH_SIZE]
    seconds['batch'] += _seconds(lambda b=batch: np.stack(b))
  return {stage: total / _SAMPLES for stage, total in seconds.items()}


def load_by_pyav(path: str, rng: np.random.Generator) -> np.ndarray:
  """Reads a random clip with PyAV, from the key frame before its start."""
  frames = []
  with av.open(path) as container:
    duration = (container.duration or 0) / av.time_base
    due = _draw_start(duration, rng)
    container.seek(int(due * av.time_base))
    for frame in container.decode(video=0):
      if frame.time >= due:
        frames.append(frame.to_ndarray(format='rgb24'))
        due += 1 / _RATE
        if len(frames) == _NUM_FRAMES:
          break
  return _augment(frames, rng)


def load_by_opencv(path: str, rng: np.random.Generator) -> np.ndarray:
  """Reads a random clip with OpenCV."""
  video = cv2.VideoCapture(path)
  rate = video.get(cv2.CAP_PROP_FPS)
  start = _draw_start(video.get(cv2.CAP_PROP_FRAME_COUNT) / rate, rng)
  wanted = [round((start + i / _RATE) * rate) for i in range(_NUM_FRAMES)]
  video.set(cv2.CAP_PROP_POS_FRAMES, wanted[0])
  frames = []
  for index in range(wanted[0], wanted[-1] + 1):
    if not video.grab():
      break
    if index in wanted:
      frames.append(cv2.cvtColor(video.retrieve()[1], cv2.COLOR_BGR2RGB))
  return _augment(frames, rng)


def load_by_decord(path: str, rng: np.random.Generator) -> np.ndarray:
  """Reads a random clip with decord."""
  import decord  # pyrefly: ignore[missing-import]

  video = decord.VideoReader(path, num_threads=1)
  rate = video.get_avg_fps()
  start = _draw_start(len(video) / rate, rng)
  wanted = [round((start + i / _RATE) * rate) for i in range(_NUM_FRAMES)]
  wanted = np.minimum(wanted, len(video) - 1)
  return _augment(list(video.get_batch(wanted).asnumpy()), rng)


def _draw_start(duration, rng):
  return rng.uniform(0, max(0, duration - _NUM_FRAMES / _RATE))


def _augment(frames, rng):
  """Crops the frames of a clip to one square and mirrors all or none."""
  height, width = frames[0].shape[:2]
  short_side = min(height, width)
  if short_side != _SIZE:
    scale = _SIZE / short_side
    width, height = round(width * scale), round(height * scale)
    frames = [
        cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        for frame in frames
    ]
  top = rng.integers(height - _SIZE, endpoint=True)
  left = rng.integers(width - _SIZE, endpoint=True)
  step = -1 if rng.random() < 0.5 else 1
  return np.stack(
      [
          frame[top : top + _SIZE, left : left + _SIZE][:, ::step]
          for frame in frames
      ]
  )


def _measure_preparation(specs):
  """Returns seconds of video a core second by method of preparation."""
  prepare = {
      'build': prepare_by_us,
      'PyAV and Pillow': prepare_by_pyav,
      'OpenCV': prepare_by_opencv,
  }
  rates = {name: [] for name in prepare}
  for _ in range(_ROUNDS.value):
    for name, function in prepare.items():
      counts = []
      seconds = _seconds(
          lambda f=function, c=counts: c.extend(map(f, specs[:_NUM_PREPARED]))
      )
      rates[name].append(sum(counts) / _RATE / seconds)
  return rates


def prepare_by_us(spec: Mapping[str, str]) -> int:
  """Prepares a video as `data_prep.build` does; returns its frame count."""
  examples: Iterator = kinetics.Kinetics.read_clip(spec)
  return sum(len(example['frames']) for example in examples)


def prepare_by_pyav(spec: Mapping[str, str]) -> int:
  """Prepares a video with PyAV and Pillow; returns its frame count."""
  count = 0
  with av.open(spec['path']) as container:
    for frame in container.decode(video=0):
      if frame.time >= count / _RATE:
        image = frame.to_image()
        scale = _SIZE / min(image.size)
        if scale < 1:
          image = image.resize([round(side * scale) for side in image.size])
        image.save(io.BytesIO(), 'JPEG', quality=_QUALITY)
        count += 1
  return count


def prepare_by_opencv(spec: Mapping[str, str]) -> int:
  """Prepares a video with OpenCV; returns its frame count."""
  count = 0
  video = cv2.VideoCapture(spec['path'])
  rate = video.get(cv2.CAP_PROP_FPS)
  index = 0
  while video.grab():
    if index / rate >= count / _RATE:
      frame = video.retrieve()[1]
      scale = _SIZE / min(frame.shape[:2])
      if scale < 1:
        frame = cv2.resize(
            frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
      cv2.imencode('.jpg', frame, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
      count += 1
    index += 1
  return count


def _print_table(title, rates):
  """Prints medians, and how much faster the first one is than each."""
  print(f'\n{title}:')
  ours = statistics.median(next(iter(rates.values())))
  for name, values in rates.items():
    median = statistics.median(values)
    spread = f'{min(values):.1f} to {max(values):.1f}'
    print(f'  {name:18}{median:8.1f}  ({spread:16})  x {ours / median:.1f}')


if __name__ == '__main__':
  program.run(main)
