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
# From NVIDIA's data sheet of the H100 SXM, and the limits of CUDA for it.
_H100 = """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
dnn_version_info { major: 9 minor: 10 }
runtime_version { major: 12 minor: 9 }
gpu_device_info {
  name: "NVIDIA H100 80GB HBM3"
  device_vendor: "NVIDIA Corporation"
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  device_memory_size: 85899345920
  memory_bandwidth: 3350000000000
  l2_cache_size: 52428800
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  threads_per_warp: 32
  threads_per_core_limit: 2048
  threads_per_block_limit: 1024
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  device_address_bits: 64
}
"""
# XLA tries on the GPU which kernels are the fastest. Without one, Triton's
# kernels for products may have no valid size, so that cuBLAS's are taken.
_GPU_FLAGS = '--xla_gpu_autotune_level=0 --xla_gpu_enable_triton_gemm=false'
_GPUS_PER_HOST = 8
_CUDA_PLUGINS = 'jax_cuda12_plugin', 'jax_cuda13_plugin'
_HELP = (
    'give v5e:2x4, v5e-8, v5e-256, v6e:4x4, v5p:2x2x1, h100 or h100x8, for'
    ' example'
)

# libtpu writes to its log what an error leaves out.
_logs: tempfile.TemporaryDirectory | None = None


class Topology(NamedTuple):
  """Devices that can be compiled for.

  Attributes:
    name: Such as 'v5e:2x4' or 'h100x8'.
    devices: Devices for a mesh. Nothing can run on them.
    hosts: Number of machines that the devices are in.
  """

  name: str
  devices: list[jax.Device]
  hosts: int


def described(name: str) -> Topology:
  """Describes devices, and keeps JAX off the real ones of this machine.

  Call it before JAX looks for devices.

  Args:
    name: A kind of TPU and a slice, as in 'v5e:16x16' or 'v5p:2x2x1', a kind
      and a number of chips, as in 'v5e-256', or 'h100' or 'h100x8'.

  Raises:
    UserError: There are no such devices, or their compiler is not installed.
  """
  if match := re.fullmatch(r'(v5e|v6e|v5p)(?:-(\d+)|:(\d+(?:x\d+)*))', name):
    full_name, options = _tpus(name, *match.groups())
  elif match := re.fullmatch(r'h100(?:x(\d+))?', name):
    full_name, options = _gpus(name, int(match[1] or 1))
  else:
    raise errors.UserError(f'there are no devices named {name}: {_HELP}')
  jax.config.update('jax_platforms', 'cpu')
  try:
    devices = topologies.get_topology_desc(**options).devices
  except (RuntimeError, ValueError) as error:  # The compiler's version is new.
    raise errors.UserError(
        f'the compiler does not know {name}: {str(error).splitlines()[0]}'
    ) from error
  hosts = len({device.process_index for device in devices})
  return Topology(full_name, devices, hosts)


def _tpus(name, kind, chips, shape):
  """Returns the full name of a slice, and the arguments to describe it."""
  if chips:
    shape = _slice_of(kind, int(chips))
  if shape is None or not _exists(kind, shape):
    known = '2x2x1, 2x2x2, 4x4x8 ...' if kind == 'v5p' else ', '.join(_SLICES)
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
  options: dict = {'platform': 'tpu', 'topology_name': f'{kind}:{shape}'}
  if shape == '2x4':  # One machine. Larger slices are of machines of 2x2.
    options['chips_per_host_bounds'] = (2, 4, 1)
  return f'{kind}:{shape}', options


def _gpus(name, count):
  """Returns the full name of GPUs, and the arguments to describe them."""
  hosts, rest = divmod(count, _GPUS_PER_HOST)
  if count < 1 or (hosts and rest):
    raise errors.UserError(
        f'there are no devices named {name}: give h100x1 to h100x8, or a'
        ' multiple of 8 GPUs'
    )
  if not any(map(importlib.util.find_spec, _CUDA_PLUGINS)):
    raise errors.UserError(
        f"compiling for {name} needs JAX's plugin for CUDA: pip install"
        " 'vidcolor[cuda]'"
    )
  os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_GPU_FLAGS}'
  return f'h100x{count}', {
      'platform': 'cuda',
      'topology_name': 'h100',
      'target_config': _H100,
      'topology': f'1x{hosts or 1}x{_GPUS_PER_HOST if hosts else rest}',
  }


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
