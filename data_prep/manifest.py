"""Writes what a dataset contains, and which clips were left out and why."""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from etils import epath
import numpy as np

from data_prep import clip_marks
from data_prep import shards as shards_lib
from vidcolor import files


def by_split(
    reports: Sequence[shards_lib.Report],
) -> dict[str, list[shards_lib.Report]]:
  """Groups reports by split, in their order."""
  splits: dict[str, list[shards_lib.Report]] = {}
  for report in reports:
    splits.setdefault(report.split, []).append(report)
  return splits


def write(
    folder: str | os.PathLike,
    reports: Sequence[shards_lib.Report],
    faults: Sequence[shards_lib.Fault],
    source: str | None,
) -> None:
  """Writes `manifest.json`, for people, and `index.npz`, for programs.

  The index holds arrays 'SPLIT/COLUMN' with an entry for each record. A column
  'signature' is replaced by 'duplicate', which is true for all but the first of
  several clips with the same content.

  Args:
    folder: Folder of the dataset's version.
    reports: Reports of the shards that have records.
    faults: Clips that are missing or cut short.
    source: Folder or URL that the dataset is built from.
  """
  folder = epath.Path(folder)
  splits = {
      split: _join([report.columns for report in of_split])
      for split, of_split in by_split(reports).items()
  }
  _replace_signatures(splits)
  index: dict[str, Any] = {
      f'{split}/{key}': values
      for split, columns in splits.items()
      for key, values in columns.items()
  }
  with files.atomic_write(folder / 'index.npz') as temporary:
    np.savez(temporary, **index)
  left_out = [fault for fault in faults if not fault.num_records]
  cut_short = [fault for fault in faults if fault.num_records]
  manifest = {
      'source': source,
      'splits': {split: _summary(value) for split, value in splits.items()},
      'num_skipped': len(left_out),
      'num_cut_short': len(cut_short),
      'skipped': [dataclasses.asdict(fault) for fault in left_out],
      'cut_short': [dataclasses.asdict(fault) for fault in cut_short],
  }
  files.write_json(folder / 'manifest.json', manifest)


def _join(parts):
  return {
      key: np.concatenate([part[key] for part in parts]) for key in parts[0]
  }


def _replace_signatures(splits):
  # Training clips come last, so that those that are also in another split are
  # marked as duplicates.
  order = sorted(splits, key=lambda split: (split == 'train', split))
  order = [split for split in order if 'signature' in splits[split]]
  if not order:
    return
  signatures = [splits[split].pop('signature') for split in order]
  duplicate = clip_marks.find_duplicates(
      np.concatenate(signatures).view(np.uint64)
  )
  ends = np.cumsum([len(of_split) for of_split in signatures])
  for split, flags in zip(order, np.split(duplicate, ends[:-1]), strict=True):
    splits[split]['duplicate'] = flags


def _summary(columns):
  """Returns totals of the numeric columns and counts of the marks."""
  summary: dict[str, Any] = {
      'records': len(columns['num_bytes']),
      'bytes': int(columns['num_bytes'].sum()),
      'frames': int(columns['num_frames'].sum()),
  }
  if 'frames_per_second' in columns:
    seconds = columns['num_frames'] / columns['frames_per_second']
    summary['hours'] = float(seconds.sum() / 3600)
  if 'source_frames_per_second' in columns:
    rates, counts = np.unique(
        np.round(columns['source_frames_per_second']), return_counts=True
    )
    summary['source_frames_per_second'] = {
        f'{rate:g}': int(count)
        for rate, count in zip(rates, counts, strict=True)
    }
  flags = {key: v for key, v in columns.items() if v.dtype == bool}
  return summary | {key: int(value.sum()) for key, value in flags.items()}
