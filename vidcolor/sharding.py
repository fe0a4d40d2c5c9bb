"""Every mesh and sharding, declared once: data parallel over all devices."""

from typing import Any

import jax
import numpy as np

_DATA = 'data'


def make_mesh() -> jax.sharding.Mesh:
  """All devices of all processes in a row."""
  return jax.make_mesh(
      (jax.device_count(),),
      (_DATA,),
      axis_types=(jax.sharding.AxisType.Auto,),
  )


def replicated(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
  """For the state: whole on every device."""
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def over_batch(mesh: jax.sharding.Mesh) -> jax.sharding.NamedSharding:
  """For batches: split along the first axis."""
  return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(_DATA))


def global_batch(mesh: jax.sharding.Mesh, batch: np.ndarray) -> Any:
  """Joins each process's part of a batch to one global array."""
  return jax.make_array_from_process_local_data(over_batch(mesh), batch)
