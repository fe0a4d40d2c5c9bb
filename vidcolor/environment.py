"""What a result was computed with: machine and versions."""

from importlib import metadata
import os
import platform

import jax


def describe() -> dict[str, object]:
  """The machine and the versions that a result depends on."""
  devices = jax.devices()
  return {
      'machine': f'{platform.machine()}, {os.cpu_count()} cores,'
      f' {len(devices)} x {devices[0].device_kind}',
      'versions': {
          name: metadata.version(name) for name in ('jax', 'flax', 'vidcolor')
      },
  }
