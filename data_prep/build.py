r"""Builds a dataset, and the palette of one to train on.

  python -m data_prep.build --dataset=kinetics --source_dir=VIDEOS \
    --data_dir=DIR

Run the same command again to continue a build that was stopped. A finished
dataset is not changed. Apache Beam builds on a cluster whose workers see the
same files; its own options follow two dashes:

  python -m data_prep.build --dataset=kinetics --source_dir=VIDEOS \
    --data_dir=DIR --runner=beam -- --runner=FlinkRunner --flink_master=HOST
"""

import importlib.util
import json
import os
import sys
from typing import Any

from absl import flags
import fsspec

from data_prep.kinetics import kinetics
from data_prep.synthetic_clips import synthetic_clips
from vidcolor import errors
from vidcolor import files
from vidcolor import program

_BUILDERS = {
    'kinetics': kinetics.Kinetics,
    'synthetic_clips': synthetic_clips.SyntheticClips,
}
_DATASET = flags.DEFINE_enum(
    'dataset', None, list(_BUILDERS), 'Dataset to build.', required=True
)
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of TFDS datasets to build in.', required=True
)
_SOURCE_DIR = flags.DEFINE_string(
    'source_dir',
    None,
    'Folder of videos or of folders of frames, or of Kinetics as it was'
    ' published.',
)
_ANNOTATIONS = flags.DEFINE_list(
    'annotations',
    [],
    'CSV files of Kinetics. Default: folders name the splits and labels.',
)
_FRAMES_PER_SECOND = flags.DEFINE_float(
    'frames_per_second',
    25.0,
    'Rate of the videos that are folders of frames.',
    0.01,
    1000,
)
_RUNNER = flags.DEFINE_enum(
    'runner', 'local', ['local', 'beam'], 'This machine, or Apache Beam.'
)
_NUM_WORKERS = flags.DEFINE_integer(
    'num_workers', None, 'Local processes. Default: one for each core.', 1
)
_MAX_SHARD_BYTES = flags.DEFINE_integer(
    'max_shard_bytes', 1 << 30, 'Largest size of a file, in bytes.', 1
)
_MAX_SECONDS = flags.DEFINE_float(
    'max_seconds', 300, 'Longest time to read a video, in seconds.', 0
)


def main(arguments: list[str]) -> None:
  """Builds --dataset in --data_dir."""
  # Imported late, because it imports JAX, which the build does not need.
  from data_prep import palette

  _check_folders()
  builder = _builder(arguments)
  if (builder.data_path / 'dataset_info.json').exists():
    print(f'{builder.data_path} is built already, and stays as it is')
  try:
    builder.download_and_prepare()
  except KeyboardInterrupt:
    print('\nstopped: run the same command again to continue', file=sys.stderr)
    sys.exit(130)
  path = builder.data_path / 'manifest.json'
  manifest = json.loads(path.read_text())
  for name, split in manifest['splits'].items():
    print(f'{name}: {split["records"]} records')
  print(
      f'left out: {manifest["num_skipped"]}, cut short:'
      f' {manifest["num_cut_short"]}; {path} lists them with the reasons'
  )
  if 'train' not in manifest['splits']:
    return
  if files.is_url(builder.data_dir):
    print(
        'Training reads records from disks only: copy the dataset to a disk or'
        ' mount the bucket, and run data_prep.palette there.'
    )
  else:
    palette.fit_once(builder.data_dir)


def _check_folders():
  for flag in _SOURCE_DIR, _DATA_DIR:
    if flag.value and files.is_url(flag.value):
      try:
        fsspec.url_to_fs(flag.value)
      # The protocol is unknown, or its package is not installed.
      except (ImportError, ValueError) as error:
        raise errors.UserError(f'--{flag.name}={flag.value}: {error}') from None
  if not files.is_url(_DATA_DIR.value):
    files.make_folder(os.path.expanduser(_DATA_DIR.value))


def _builder(beam_options):
  options: dict[str, Any] = dict(
      data_dir=os.path.expanduser(_DATA_DIR.value),
      num_workers=_NUM_WORKERS.value,
      max_shard_bytes=_MAX_SHARD_BYTES.value,
      max_seconds=_MAX_SECONDS.value,
  )
  if _RUNNER.value == 'beam':
    if importlib.util.find_spec('apache_beam') is None:
      raise errors.UserError(
          "--runner=beam needs Apache Beam: pip install 'vidcolor[beam]'"
      )
    options['beam_options'] = beam_options
  elif beam_options:
    raise errors.UserError(f'{beam_options[0]} is for --runner=beam only')
  if _DATASET.value != 'synthetic_clips':
    options['source_dir'] = _SOURCE_DIR.value
  if _DATASET.value == 'kinetics':
    options['annotations'] = _ANNOTATIONS.value
    options['frames_per_second'] = _FRAMES_PER_SECOND.value
  return _BUILDERS[_DATASET.value](**options)


if __name__ == '__main__':
  program.run(main, takes_arguments=True, takes_urls=True)
