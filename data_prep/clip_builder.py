"""The base of our TFDS builders: parallel, resumable and deterministic.

TFDS itself writes a dataset in one process, and from the start again if it is
stopped. Here the shard is the unit of work: which clips go into which shard is
settled before any is read, one process writes a whole shard, and shards wait
in a `<version>.partial` folder till all are there. So the files are the same
however many processes wrote them, and however often they were stopped.
"""

import abc
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from concurrent.futures import process
import csv
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
from typing import Any, NamedTuple

from array_record.python import array_record_module
import cv2
from jaxtyping import UInt8
import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core import dataset_builder
from tensorflow_datasets.core import example_serializer
import tqdm

from vidcolor import errors
from vidcolor import files

# What is known of a clip before it is read: its 'name', unique in its split,
# and whatever else reading it takes, as JSON values.
ClipSpec = Mapping[str, Any]


class Skipped(NamedTuple):
  """A clip that is left out, and why."""

  split: str
  name: str
  reason: str


class Shard(NamedTuple):
  """A file of records to be written, and the clips to write there."""

  path: str
  split: str
  clips: Sequence[ClipSpec]


class Report(NamedTuple):
  """What became of a shard's clips."""

  num_examples: int
  num_bytes: int
  skipped: Sequence[Skipped]


class ClipBuilder(dataset_builder.FileReaderBuilder, skip_registration=True):
  """Builds ArrayRecord files of clips, each read from its `ClipSpec`.

  Beside them, `skipped.tsv` lists the clips that are missing or unreadable.

  Attributes:
    CLIPS_PER_SHARD: How many clips at most go into a file.
  """

  CLIPS_PER_SHARD = 32

  def __init__(self, *, num_workers: int | None = None, **kwargs):
    """Initialises the builder.

    Args:
      num_workers: Processes that write shards; by default one a core.
      **kwargs: Those of any TFDS builder, such as `data_dir`.
    """
    super().__init__(file_format='array_record', **kwargs)
    self._num_workers = num_workers or os.cpu_count() or 1

  @abc.abstractmethod
  def list_clips(
      self,
  ) -> tuple[Mapping[str, Sequence[ClipSpec]], Sequence[Skipped]]:
    """Returns the clips of each split, and those known not to be there.

    Raises:
      UserError: there are no clips.
    """

  @staticmethod
  @abc.abstractmethod
  def read_clip(clip: ClipSpec) -> Mapping[str, Any]:
    """Returns the features of a clip; it runs in a process of its own.

    Raises:
      UserError: the clip cannot be read, and is left out.
    """

  def _download_and_prepare(self, dl_manager, download_config=None):
    del dl_manager, download_config
    clips, skipped = self.list_clips()
    # TFDS works in a folder of another name each time: stay beside it.
    partial_dir = self.data_path.parent / f'{self.version}.partial'
    partial_dir.mkdir(exist_ok=True)
    shards = plan_shards(clips, partial_dir, self.CLIPS_PER_SHARD)
    write = functools.partial(
        write_shard, features=self.info.features, read_clip=self.read_clip
    )
    reports = _write_missing(shards, write, self._num_workers)
    skipped = [*skipped, *(s for r in reports for s in r.skipped)]
    # TFDS cannot read a split of no clips, and has no use for a shard of none.
    written = [
        (shard, report)
        for shard, report in zip(shards, reports, strict=True)
        if report.num_examples
    ]
    if not written:
      shutil.rmtree(partial_dir)
      raise errors.UserError(
          f'none of the {len(skipped)} clips can be read; the first:'
          f' {skipped[0].reason}'
      )
    splits = [
        self._move(split, [pair for pair in written if pair[0].split == split])
        for split in sorted({shard.split for shard, _ in written})
    ]
    self.info.set_splits(tfds.core.SplitDict(splits))
    _write_skipped(self.data_path / 'skipped.tsv', skipped)
    shutil.rmtree(partial_dir)

  def _move(self, split, written):
    """Moves a split's shards to where TFDS looks for them."""
    template = tfds.core.ShardedFileTemplate(
        data_dir=self.data_path,
        dataset_name=self.name,
        split=split,
        filetype_suffix='array_record',
    )
    paths = template.sharded_filepaths(len(written))
    for (shard, _), path in zip(written, paths, strict=True):
      os.replace(shard.path, path)
    return tfds.core.SplitInfo(
        name=split,
        shard_lengths=[report.num_examples for _, report in written],
        num_bytes=sum(report.num_bytes for _, report in written),
        filename_template=template,
    )


def encode_jpeg(
    rgb: UInt8[np.ndarray, 'height width 3'], quality: int
) -> bytes:
  """Encodes a frame; `quality` is of 100."""
  bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
  options = [cv2.IMWRITE_JPEG_QUALITY, quality]
  return cv2.imencode('.jpg', bgr, options)[1].tobytes()


def plan_shards(
    clips: Mapping[str, Sequence[ClipSpec]],
    folder: str | os.PathLike,
    clips_per_shard: int,
) -> list[Shard]:
  """Deals the clips of each split out to shards, shuffled by their names."""
  shards = []
  for split, specs in clips.items():
    specs = sorted(
        specs, key=lambda clip: hashlib.sha256(clip['name'].encode()).digest()
    )
    for start in range(0, len(specs), clips_per_shard):
      path = os.path.join(folder, f'{split}-{start // clips_per_shard:05d}')
      shards.append(Shard(path, split, specs[start : start + clips_per_shard]))
  return shards


def write_shard(
    shard: Shard,
    *,
    features: tfds.features.FeaturesDict,
    read_clip: Callable[[ClipSpec], Mapping[str, Any]],
) -> Report:
  """Writes a file of records, and its report beside it, each when complete.

  It needs nothing but its arguments, so that any pool of workers can run it.

  Args:
    shard: What to write where.
    features: How TFDS stores a clip.
    read_clip: Returns a clip's features or raises `UserError` to skip it.
  """
  serializer = example_serializer.ExampleSerializer(
      features.get_serialized_info()
  )
  skipped = []
  with files.written_whole(shard.path) as temporary:
    # Compressing what holds compressed images would only slow reading down.
    writer = array_record_module.ArrayRecordWriter(
        str(temporary), 'group_size:1,uncompressed'
    )
    for clip in shard.clips:
      try:
        example = read_clip(clip)
      except errors.UserError as error:
        skipped.append(Skipped(shard.split, clip['name'], str(error)))
      else:
        proto = serializer.get_tf_example(features.encode_example(example))
        # By default the order of the features varies between processes.
        writer.write(proto.SerializeToString(deterministic=True))
    writer.close()
  report = Report(
      num_examples=len(shard.clips) - len(skipped),
      num_bytes=os.path.getsize(shard.path),
      skipped=skipped,
  )
  with files.written_whole(f'{shard.path}.json') as temporary:
    temporary.write_text(json.dumps({'clips': shard.clips, 'report': report}))
  return report


def _read_report(shard):
  """Returns the report of a shard, or None if it is yet to be written."""
  try:
    with open(f'{shard.path}.json') as file:
      saved = json.load(file)
  except FileNotFoundError:
    return None
  # Clips may have been added since, or other options given.
  if saved['clips'] != list(shard.clips) or not os.path.exists(shard.path):
    return None
  num_examples, num_bytes, skipped = saved['report']
  return Report(num_examples, num_bytes, [Skipped(*s) for s in skipped])


def _write_missing(shards, write, num_workers):
  """Writes the shards that are not there yet; returns the reports of all."""
  reports = {}
  missing = []
  for shard in shards:
    report = _read_report(shard)
    if report is None:
      missing.append(shard)
    else:
      reports[shard.path] = report
  total = sum(len(shard.clips) for shard in shards)
  done = total - sum(len(shard.clips) for shard in missing)
  with tqdm.tqdm(total=total, initial=done, unit='clip') as progress:
    for shard, report in _map(write, missing, num_workers):
      reports[shard.path] = report
      progress.update(len(shard.clips))
  return [reports[shard.path] for shard in shards]


def _map(write, shards, num_workers):
  """Yields shards and their reports as they come."""
  if num_workers == 1 or len(shards) < 2:
    yield from ((shard, write(shard)) for shard in shards)
    return
  with futures.ProcessPoolExecutor(
      min(num_workers, len(shards)),
      mp_context=multiprocessing.get_context('spawn'),
      initializer=_start_worker,
  ) as pool:
    running = {pool.submit(write, shard): shard for shard in shards}
    try:
      for future in futures.as_completed(running):
        yield running[future], future.result()
    except process.BrokenProcessPool as error:
      raise errors.UserError(
          'a worker was killed, for want of memory perhaps: run the same again'
          ' to go on, with a smaller --num_workers'
      ) from error
    finally:
      pool.shutdown(cancel_futures=True)


def _start_worker():
  """Leaves Ctrl-C to the parent, and ends with it however it ends."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  assert parent is not None

  def end_with_parent():
    parent.join()
    os._exit(1)

  threading.Thread(target=end_with_parent, daemon=True).start()


def _write_skipped(path, skipped):
  with open(path, 'w', newline='') as file:
    writer = csv.writer(file, delimiter='\t', lineterminator='\n')
    writer.writerow(Skipped._fields)
    writer.writerows(sorted(skipped))
