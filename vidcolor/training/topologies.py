"""Accelerators that are only described, to compile for without having them."""

import importlib.util
import math
import os
import pathlib
import re
import tempfile
from typing import NamedTuple

import jax
from jax.experimental import topologies

from vidcolor import errors

# The slices of v5e and v6e that can be had.
_SLICES = '1x1', '2x2', '2x4', '4x4', '4x8', '8x8', '8x16', '16x16'
_MAX_V5P_CHIPS = 6144
# libtpu reads these when it is loaded. It then asks no network for the machine
# that it runs on, and runs beside other processes that have loaded it.
_ENVIRONMENT = {
    'TPU_SKIP_MDS_QUERY': '1',
    'TPU_ACCELERATOR_TYPE': 'v5litepod-8',
    'TPU_WORKER_HOSTNAMES': 'localhost',
    'ALLOW_MULTIPLE_LIBTPU_LOAD': '1',
}
_HELP = 'give v5e:2x4, v5e-8, v5e-256, v6e:4x4 or v5p:2x2x1, for example'

# libtpu writes to its log what an error leaves out.
_logs: tempfile.TemporaryDirectory | None = None


class Topology(NamedTuple):
  """Devices that can be compiled for.

  Attributes:
    name: Such as 'v5e:2x4'.
    devices: Devices for a mesh. Nothing can run on them.
    hosts: Number of machines that the devices are in.
  """

  name: str
  devices: list[jax.Device]
  hosts: int


def describe(name: str) -> Topology:
  """Describes devices, and keeps JAX off the real ones of this machine.

  Call it before JAX looks for devices.

  Args:
    name: A kind of TPU and a slice, as in 'v5e:16x16' or 'v5p:2x2x1', or a kind
      and a number of chips, as in 'v5e-256'.

  Raises:
    UserError: There are no such devices, or libtpu is missing.
  """
  match = re.fullmatch(r'(v5e|v6e|v5p)(?:-(\d+)|:(\d+(?:x\d+)*))', name)
  if not match:
    raise errors.UserError(f'there are no devices named {name}: {_HELP}')
  kind, chips, shape = match.groups()
  if chips:
    shape = _slice_of(kind, int(chips))
  elif not _exists(kind, shape):
    shape = None
  if shape is None:
    known = ', '.join(_SLICES) if kind != 'v5p' else '2x2x1, 2x2x2, 4x4x8 ...'
    raise errors.UserError(
        f'there is no slice {name}: give {kind}: and one of {known}'
    )
  if importlib.util.find_spec('libtpu') is None:
    raise errors.UserError(
        f"compiling for {name} needs libtpu: pip install 'vidcolor[tpu]'"
    )
  global _logs
  _logs = _logs or tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
  os.environ.update(_ENVIRONMENT, TPU_LOG_DIR=_logs.name)
  jax.config.update('jax_platforms', 'cpu')
  # A slice of 2x4 is one machine; larger ones are of machines of 2x2.
  options: dict = {'chips_per_host_bounds': (2, 4, 1)} if shape == '2x4' else {}
  try:
    devices = topologies.get_topology_desc(
        platform='tpu', topology_name=f'{kind}:{shape}', **options
    ).devices
  except (RuntimeError, ValueError) as error:  # Of another version of libtpu.
    raise errors.UserError(
        f'libtpu does not know {name}: {str(error).splitlines()[0]}'
    ) from error
  hosts = len({device.process_index for device in devices})
  return Topology(f'{kind}:{shape}', devices, hosts)


def _slice_of(kind, chips):
  """Returns the slice with a number of chips, or None."""
  sizes = {_count(shape): shape for shape in _SLICES}
  return sizes.get(chips) if kind != 'v5p' else None


def _exists(kind, shape):
  if kind != 'v5p':
    return shape in _SLICES
  sides = [int(side) for side in shape.split('x')]
  return shape in ('2x2x1', '2x2x2', '2x2x4', '2x4x4') or (
      len(sides) == 3
      and all(side and side % 4 == 0 for side in sides)
      and math.prod(sides) <= _MAX_V5P_CHIPS
  )


def _count(shape):
  return math.prod(int(side) for side in shape.split('x'))


def largest_buffers(count: int = 3) -> list[tuple[int, str]]:
  """Returns bytes and contents of the buffers for which there was no memory.

  They are of the program that failed to compile last, the largest first. The
  list is empty if libtpu did not write it.
  """
  logs = pathlib.Path(_logs.name).glob('*.log.ERROR.*') if _logs else ()
  text = ''.join(path.read_text('utf-8', 'replace') for path in logs)
  _, _, last = text.rpartition('Memory Space: default')
  return parse_buffers(last)[:count]


def parse_buffers(text: str) -> list[tuple[int, str]]:
  """Reads libtpu's table of the buffers of a memory space."""
  rows = re.findall(
      r'^ *[\d.]+\w+ *\([ \d]+%\); *([\d.]+)(B|KiB|MiB|GiB|TiB); *\d+; *\d+;'
      r' *(.*)$',
      text,
      re.MULTILINE,
  )
  units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  buffers = [
      (int(float(size) * 1024 ** units.index(unit)), contents)
      for size, unit, contents in rows
  ]
  return sorted(buffers, key=lambda buffer: -buffer[0])
