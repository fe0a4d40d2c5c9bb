"""Compiles for TPUs that are not there, which needs libtpu."""

import json
import os
import pathlib

from flax import nnx
import jax
from jax import numpy as jnp
import numpy as np
import pytest

from tests import programs
from tests import tiny
from tests import toy_network
from vidcolor import errors
from vidcolor.tracking import propagation
from vidcolor.training import compiled
from vidcolor.training import topologies

_NETWORK = {'model.name': 'tests.toy_network.Net', 'batch_size': 8}


def _compile_for(*args):
  return programs.run_here(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      '--config.batch_size=12',
      *args,
  )


@pytest.fixture(scope='module')
def data_run(libtpu, tmp_path_factory):
  """What the program prints and writes, with the state on every device."""
  folder = tmp_path_factory.mktemp('compiled')
  overrides = tiny.overrides('/no/data') | _NETWORK
  finished = programs.run(
      'vidcolor.train',
      '--config=experiments/configs/compact.py',
      *(f'--config.{name}={value}' for name, value in overrides.items()),
      '--compile_for=v5e-8',
      f'--workdir={folder}',
      env={'XLA_FLAGS': os.environ['XLA_FLAGS']},
  )
  assert not finished.returncode, finished.stderr
  return json.loads((folder / 'compiled.json').read_text()), finished.stdout


@pytest.mark.slow
@pytest.mark.usefixtures('libtpu')
def test_a_run_is_compiled_and_not_started(data_run):
  found, text = data_run
  assert (found['topology'], found['devices'], found['hosts']) == (
      'v5e:2x4',
      8,
      1,
  )
  assert text.startswith('v5e:2x4: 8 chips in 1 host\n')
  memory = found['memory_per_device']
  # A batch of one clip of 3 frames at least, and the state.
  assert 3 * 32 * 32 * 3 < memory['arguments'] < memory['total'] < 1e8
  assert memory['temporaries'] < memory['limit'] == int(15.75 * 2**30)
  seconds = sum(x['seconds'] for x in found['operations'])
  assert found['step_seconds'] == pytest.approx(seconds)
  assert found['share_of_peak'] == pytest.approx(
      found['flops_per_device'] / 197e12 / found['step_seconds']
  )
  assert 0 < found['share_of_peak'] < 1 and found['bytes_per_device'] > 1e4
  first = found['operations'][0]
  assert first['seconds'] == max(x['seconds'] for x in found['operations'])
  path, _, line = first['source'].partition(':')
  assert (programs.ROOT / path).is_file() and int(line)
  assert f'  {first["name"]}  {first["source"]}' in text


@pytest.mark.slow
@pytest.mark.usefixtures('libtpu')
def test_only_a_run_with_a_split_state_gathers(data_run):
  whole = data_run[0]
  config = tiny.config('/no/data', fsdp=8, **_NETWORK)
  split = compiled.of_training(config, 'v5e:2x4')
  assert set(whole['collectives']) == {'all-reduce'}
  assert {'all-gather', 'all-reduce'} <= set(split['collectives'])
  sizes = [x['memory_per_device']['arguments'] for x in (whole, split)]
  assert sizes[1] < 0.9 * sizes[0]
  assert split['flops_per_device'] == whole['flops_per_device']


@pytest.mark.usefixtures('libtpu')
def test_a_function_on_one_chip():
  x = jax.ShapeDtypeStruct((512, 512), jnp.bfloat16)

  def power(x):
    return jax.lax.fori_loop(0, 5, lambda _, y: jnp.tanh(y @ x), x)

  found = compiled.on_one_chip(power, x)
  assert found['flops_per_device'] == 5 * 2 * 512**3
  assert 0.1 < found['share_of_peak'] < 1
  products = [x for x in found['operations'] if 'dot_general' in x['calls']]
  assert {x['times'] for x in products} == {5}
  assert {pathlib.Path(x['source']).name.split(':')[0] for x in products} == {
      'test_compiled.py'
  }
  assert found['memory_per_device']['arguments'] == 512 * 512 * 2
  assert 'hosts' not in found and '5 x ' in compiled.in_words(found)


@pytest.mark.slow
@pytest.mark.usefixtures('libtpu')
def test_a_step_of_tracking_on_one_chip():
  options = propagation.PropagationOptions(recent=2, radius=3, top_k=2)
  network = toy_network.Net(rngs=nnx.Rngs(0))
  propagator = propagation.LabelPropagator(network, options)
  frame = jax.ShapeDtypeStruct((32, 48, 3), jnp.uint8)
  labels = jax.ShapeDtypeStruct((32, 48, 2), jnp.float32)
  state = jax.eval_shape(propagator.init, frame, labels)
  found = compiled.on_one_chip(propagator.step, state, frame)
  assert 0 < found['step_seconds'] < 1e-3 and not found['collectives']
  sources = {x['source'].partition(':')[0] for x in found['operations']}
  assert 'tests/toy_network.py' in sources


@pytest.mark.usefixtures('libtpu')
def test_too_little_memory_is_told_with_the_largest_buffers():
  x = jax.ShapeDtypeStruct((1 << 17, 1 << 17), jnp.bfloat16)
  with pytest.raises(errors.UserError) as error:
    compiled.on_one_chip(lambda x: jnp.sin(x) @ x, x)
  message = str(error.value)
  assert message.startswith('a device needs ') and '\n' not in message
  assert 'has 16.91 GB' in message
  assert '34.36 GB for bf16[131072,131072]' in message


@pytest.mark.usefixtures('libtpu')
def test_a_program_that_jax_cannot_read_still_has_its_memory(monkeypatch):
  def fail(self):
    raise jax.errors.JaxRuntimeError('INTERNAL: unknown instruction')

  monkeypatch.setattr(jax.stages.Compiled, 'as_text', fail)
  x = jax.ShapeDtypeStruct((512, 512), jnp.bfloat16)
  found = compiled.on_one_chip(lambda x: x @ x, x)
  assert found['memory_per_device']['arguments'] == 512 * 512 * 2
  assert found['step_seconds'] is None
  assert "pip install 'jax[tpu]'" in compiled.in_words(found)


def test_a_cpu_has_no_cycles():
  x = np.ones((8, 8), np.float32)
  found = compiled.report(jax.jit(lambda x: x @ x).lower(x), flops=1.0)
  assert found['step_seconds'] is found['share_of_peak'] is None
  assert 'no time: this compiler estimates no cycles' in compiled.in_words(
      found
  )


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--compile_for=v9:2'], 'there are no devices named v9:2: give v5e:'),
        (['--compile_for=v5e:0x0'], 'there is no slice v5e:0x0: give v5e: and'),
        (['--compile_for=v5e-7'], 'one of 1x1, 2x2, 2x4, 4x4, 4x8, 8x8, 8x16'),
        (['--compile_for=v5p-8'], 'give v5p: and one of 2x2x1, 2x2x2'),
        (['--compile_for=v5p:2x2'], 'there is no slice v5p:2x2'),
        (['--compile_for=h100x9'], 'give h100x1 to h100x8, or a multiple of 8'),
        (['--compile_for=v5e-4', '--config.steps=0'], 'config.steps=0'),
        ([], 'give --workdir=DIR'),
    ],
)
def test_wrong_flags_end_in_one_line(flags, message):
  run = _compile_for(*flags)
  assert run.returncode == 2
  assert message in run.stderr and run.stderr.count('\n') == 1


@pytest.mark.parametrize(
    ('devices', 'extra'), [('v5e-4', 'tpu'), ('h100x8', 'cuda')]
)
def test_without_the_compiler_the_extra_is_named(monkeypatch, devices, extra):
  monkeypatch.setattr(topologies.importlib.util, 'find_spec', lambda _: None)
  with pytest.raises(errors.UserError, match=rf'vidcolor\[{extra}\]'):
    topologies.described(devices)


@pytest.mark.usefixtures('libtpu')
@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--compile_for=v5e-8'], 'is not divisible by 8 devices'),
        (['--compile_for=v6e-4', '--config.fsdp=3'], 'divide the 4 devices'),
    ],
)
def test_what_cannot_be_split_ends_in_one_line(flags, message):
  run = _compile_for(*flags)
  assert run.returncode == 2
  assert message in run.stderr and run.stderr.count('\n') == 1
