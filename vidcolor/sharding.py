"""The device mesh and all shardings.

A batch is split over all devices. The training state is replicated on every
device, or sharded: then each large array of it is split over `fsdp` devices,
which gather it when they compute (Rajbhandari et al., "ZeRO", SC 2020).
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from vidcolor import errors

_DATA, _FSDP = 'data', 'fsdp'
# Smaller arrays are not split: gathering them costs more than it saves.
_MIN_SIZE = 1 << 10


def make_mesh(
    fsdp: int = 1, devices: Sequence[jax.Device] | None = None
) -> jax.sharding.Mesh:
  """Makes a mesh with axes for the batch and for the state.

  Args:
    fsdp: Number of devices that the state is split over.
    devices: Devices of the mesh. Default: all devices of all processes.

  Raises:
    UserError: `fsdp` does not divide the number of devices.
  """
  devices = jax.devices() if devices is None else devices
  count = len(devices)
  if fsdp < 1 or count % fsdp:
    raise errors.UserError(
        f'config.fsdp={fsdp} does not divide the {count} devices: give one of'
        f' {", ".join(str(n) for n in range(1, count + 1) if count % n == 0)}'
    )
  return jax.make_mesh(
      (count // fsdp, fsdp),
      (_DATA, _FSDP),
      devices=devices,
      axis_types=(jax.sharding.AxisType.Auto,) * 2,
  )


def replicated(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
  """Returns the sharding of small arrays: whole on every device."""
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def of_state(mesh: jax.sharding.Mesh, state: Any) -> Any:
  """Returns a sharding for each array of the state, or of its shapes."""

  def of_array(array):
    parts = mesh.shape[_FSDP]
    # The longest of the axes that can be split is split.
    axes = [axis for axis, n in enumerate(array.shape) if n % parts == 0]
    if parts == 1 or array.size < _MIN_SIZE or not axes:
      return replicated(mesh)
    spec = [None] * array.ndim
    spec[max(axes, key=lambda axis: array.shape[axis])] = _FSDP
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))

  return jax.tree.map(of_array, state)


def over_batch(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
  """Returns the sharding of batches: split along the first axis."""
  return jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec((_DATA, _FSDP))
  )


def global_batch(mesh: jax.sharding.Mesh, batch: np.ndarray) -> jax.Array:
  """Joins the parts of a batch that the processes hold to one global array."""
  return jax.make_array_from_process_local_data(over_batch(mesh), batch)
