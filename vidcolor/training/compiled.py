"""Reports what a compiler says of a program before it runs anywhere.

To report on any function, on one chip that this machine does not have:

from vidcolor.training import compiled
print(compiled.in_words(compiled.on_one_chip(function, *arguments)))
"""

from collections.abc import Callable
import contextlib
import pathlib
import re
import sys
import time
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache
import ml_collections
import numpy as np

from vidcolor import errors
from vidcolor import sharding
from vidcolor.training import flops as flops_lib
from vidcolor.training import hardware
from vidcolor.training import hlo
from vidcolor.training import step as step_lib
from vidcolor.training import topologies
from vidcolor.training import validation

_NUM_COLORS = 16  # As in the palettes that `data_prep.palette` fits.
_PACKAGE = pathlib.Path(__file__).parents[1]
_KERNEL = 'tpu_custom_call'  # One that is written in Pallas.


def of_training(config: ml_collections.ConfigDict, name: str) -> dict[str, Any]:
  """Compiles the training step for devices that are only described.

  It reads no dataset: the values of the palette do not matter.

  Args:
    config: As in experiments/configs.
    name: Devices, as `topologies.described` takes them.

  Returns:
    The report: as from `report`, with 'devices', 'hosts' and 'topology'. Its
    FLOPs leave out what is recomputed, as in the share of the peak that
    training prints.

  Raises:
    UserError: The config is wrong, there are no such devices, or their memory
      is too small.
  """
  validation.check_config(config)
  topology = topologies.described(name)
  mesh = sharding.make_mesh(config.fsdp, topology.devices)
  validation.check_batch_size(config, mesh.size)
  graphdef, state = jax.eval_shape(lambda: step_lib.create_state(config, mesh))
  palette = np.random.default_rng(0).uniform(-60, 60, (_NUM_COLORS, 2))
  step = step_lib.make_train_step(
      config, graphdef, state, palette.astype(np.float32), mesh
  )
  flops = step_lib.count_flops(config, step, state, mesh) / mesh.size
  try:
    found = report(step.lower(state, step_lib.batch_shape(config, mesh)), flops)
  except errors.UserError as error:
    raise errors.UserError(
        f'{error}. Recompute more (config.remat=norms or blocks), compute the'
        ' batch in parts (config.accumulate), split the state (config.fsdp), or'
        ' lower config.batch_size'
    ) from error
  return {
      'topology': topology.name,
      'devices': len(topology.devices),
      'hosts': topology.hosts,
  } | found


def on_one_chip(
    function: Callable[..., Any], *arguments: Any, name: str = 'v5e:1x1'
) -> dict[str, Any]:
  """Compiles a function for one chip, and returns the report on it.

  Args:
    function: A function that can be jitted.
    *arguments: Its arguments: trees of arrays or of their shapes.
    name: Devices, as `topologies.described` takes them. The first one counts.

  Raises:
    UserError: There are no such devices, or their memory is too small.
  """
  chip = jax.sharding.SingleDeviceSharding(
      topologies.described(name).devices[0]
  )
  shapes = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=chip), arguments
  )
  traced = jax.jit(function).trace(*shapes)
  count = float(flops_lib.count(traced.jaxpr.jaxpr))
  return report(traced.lower(), count)


def report(
    program: jax.stages.Lowered | jax.stages.Compiled,
    flops: float | None = None,
) -> dict[str, Any]:
  """Returns what the compiler says of one run of a program on one device.

  Args:
    program: It is compiled first, if it is not yet compiled.
    flops: FLOPs of one device. Default: XLA's count. In this, a loop counts as
      one of its rounds, and kernels count as nothing.

  Returns:
    A dict: 'device_kind', 'compile_seconds', 'step_seconds' (None if the
    compiler estimates no cycles, as for GPUs), 'cycles', 'share_of_peak',
    'flops_per_device', 'bytes_per_device' (XLA's count, with the same limits),
    'memory_per_device' in bytes, 'collectives' by kind, 'operations' (all with
    an estimate, the dearest first), 'kernels' (the names of those without) and
    'unknown_loops' (which count as one round).

  Raises:
    UserError: The memory of the device is too small.
  """
  start = time.perf_counter()
  if isinstance(program, jax.stages.Lowered):
    program = _compile(program)
  seconds = time.perf_counter() - start
  kind = _device_kind(program)
  schedule = hlo.parse_program(_text(program))
  cost: Any = program.cost_analysis() or {}
  flops = flops or cost.get('flops')
  clock, peak = hardware.clock(kind), hardware.peak_flops(kind)
  step_seconds = schedule.cycles / clock if clock and schedule.cycles else None
  estimated = [x for x in schedule.operations if x.cycles is not None]
  estimated.sort(key=lambda operation: operation.cycles or 0, reverse=True)
  return {
      'device_kind': kind,
      'compile_seconds': seconds,
      'step_seconds': step_seconds,
      'cycles': schedule.cycles or None,
      'share_of_peak': (
          flops / peak / step_seconds
          if flops and peak and step_seconds
          else None
      ),
      'flops_per_device': flops,
      'bytes_per_device': cost.get('bytes accessed'),
      'memory_per_device': _memory(program, kind),
      'collectives': {
          name: found._asdict() for name, found in schedule.collectives.items()
      },
      'operations': [
          _about(operation, schedule.cycles, clock) for operation in estimated
      ],
      'kernels': [
          operation.name
          for operation in schedule.operations
          if operation.target == _KERNEL and operation.cycles is None
      ],
      'unknown_loops': schedule.unknown_loops,
  }


def _text(program):
  try:
    return program.as_text() or ''
  except jax.errors.JaxRuntimeError:
    return ''  # The compiler is newer, and wrote what this JAX cannot read.


def _compile(lowered):
  try:
    with _without_cache():
      return lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    sizes = re.search(
        r'\(([\d.]+)([KMGT])\) exceeds .*?\(([\d.]+)G\)', str(error)
    )
    if 'RESOURCE_EXHAUSTED' not in str(error) or not sizes:
      raise
    needed = float(sizes[1]) * 1024 ** (1 + 'KMGT'.index(sizes[2]))
    raise _out_of_memory(needed, float(sizes[3]) * 1024**3) from error


@contextlib.contextmanager
def _without_cache():
  """Turns off JAX's cache: code for described devices cannot be read back."""
  enabled = jax.config.values['jax_enable_compilation_cache']
  jax.config.update('jax_enable_compilation_cache', False)
  compilation_cache.reset_cache()  # It then reads the setting again.
  try:
    yield
  finally:
    jax.config.update('jax_enable_compilation_cache', enabled)
    compilation_cache.reset_cache()


def _out_of_memory(needed, limit):
  largest = ', '.join(
      f'{_gb(size)} for {contents}'
      for size, contents in topologies.largest_buffers()
  )
  return errors.UserError(
      f'a device needs {_gb(needed)} of memory and has {_gb(limit)}'
      + (f'; the largest buffers are {largest}' if largest else '')
  )


def _device_kind(program):
  shardings = program.input_shardings, program.output_shardings
  return next(iter(jax.tree.leaves(shardings)[0].device_set)).device_kind


def _memory(program, kind):
  memory = program.memory_analysis()
  limit = hardware.memory(kind)
  sizes = {
      'arguments': memory.argument_size_in_bytes,
      # An argument that is donated holds a result too.
      'results': memory.output_size_in_bytes - memory.alias_size_in_bytes,
      'temporaries': memory.temp_size_in_bytes,
      'code': memory.generated_code_size_in_bytes,
  }
  total = sum(sizes.values())
  if limit and total > limit:  # The compiler for GPUs does not check it.
    raise _out_of_memory(total, limit)
  return sizes | {'total': total, 'limit': limit}


def _about(operation, cycles, clock):
  return {
      'name': operation.name,
      'seconds': operation.cycles / clock if clock else None,
      'share': operation.cycles / cycles,
      'times': operation.times,
      'source': _source(operation.source),
      'calls': _shorten(operation.op_name),
      'result': operation.result,
  }


def _source(positions):
  """Returns the innermost file and line that is of no other library."""
  for path, line in positions:
    is_ours = path.startswith(f'{_PACKAGE}/') and path != __file__
    if is_ours or not ('-packages/' in path or path.startswith(sys.prefix)):
      return f'{path.removeprefix(f"{_PACKAGE.parent}/")}:{line}'
  return ''


def _shorten(op_name):
  """Returns the calls in JAX without the outermost, which all share."""
  name = op_name.replace('transpose(jvp())', 'backward')
  name = name.replace('jvp()', 'forward')
  name = re.sub(r'^jit\([^)]*\)/', '', name)
  return re.sub(r'\bjit\((\w+)\)', r'\1', name)


def in_words(found: dict[str, Any], operations: int = 10) -> str:
  """Returns a report as text of some lines.

  Args:
    found: As from `report`.
    operations: Number of operations to list.
  """
  unit = 'chip' if found['device_kind'].startswith('TPU') else 'GPU'
  lines = [
      f'compiled for {found["device_kind"]} in'
      f' {found["compile_seconds"]:.0f} s; nothing was run'
  ]
  if 'devices' in found:
    lines.insert(
        0,
        f'{found["topology"]}: {found["devices"]} {unit}'
        + 's' * (found['devices'] > 1)
        + f' in'
        f' {found["hosts"]} host' + 's' * (found['hosts'] > 1),
    )
  memory = found['memory_per_device']
  limit = memory['limit']
  share = f' of {_gb(limit)} ({memory["total"] / limit:.0%})' if limit else ''
  lines.append(
      f'memory a {unit}: {_gb(memory["total"])}{share}: arguments'
      f' {_gb(memory["arguments"])}, temporaries {_gb(memory["temporaries"])}'
  )
  if found['flops_per_device']:
    lines.append(f'GFLOP a {unit}: {found["flops_per_device"] / 1e9:.4g}')
  if found['bytes_per_device']:
    lines.append(f'bytes accessed a {unit}: {_gb(found["bytes_per_device"])}')
  for kind, collective in found['collectives'].items():
    lines.append(
        f'{collective["count"]} {kind} of {collective["bytes"] / 1e6:.4g} MB'
        ' together'
    )
  if found['step_seconds'] is None:
    lines.append(
        'no time and no transfers: JAX cannot read what this version of libtpu'
        " wrote; pip install 'jax[tpu]' installs the version that it can"
        if unit == 'chip' and not found['operations']
        else 'no time: this compiler estimates no cycles'
    )
    return '\n'.join(lines)
  share = found['share_of_peak']
  lines.append(
      f'estimated time: {1e3 * found["step_seconds"]:.2f} ms'
      f' ({found["cycles"] / 1e6:.2f} M cycles)'
      + (f', {share:.0%} of the peak' if share else '')
      + ', without the time of transfers between chips'
  )
  if found['kernels']:
    lines.append(f'without an estimate: {", ".join(found["kernels"])}')
  if found['unknown_loops']:
    lines.append(
        'of unknown length, counted as one round:'
        f' {", ".join(found["unknown_loops"])}'
    )
  for row in found['operations'][:operations]:
    times = f'{row["times"]} x ' if row['times'] > 1 else ''
    lines.append(
        f'{1e3 * row["seconds"]:8.3f} ms {row["share"]:5.1%}  {times}'
        f'{row["name"]}  {row["source"]}  {row["calls"][-60:]}'
    )
  return '\n'.join(lines)


def _gb(size):
  return f'{size / 1e9:.2f} GB'
