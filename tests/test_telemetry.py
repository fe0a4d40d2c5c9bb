import jax
from jax import numpy as jnp
import pytest

from experiments.benchmarks import measuring
from vidcolor.training import telemetry


@pytest.mark.parametrize(
    ('steps', 'told'),
    [
        (None, []),
        ((2, 3), ['start before 2', 'stop before 4']),
        ((4, 9), ['start before 4', 'stop before end']),
        ((1, 1), []),  # A resumed run is past it.
    ],
)
def test_steps_that_are_traced(monkeypatch, tmp_path, steps, told):
  now, calls = [], []
  for name in ('start', 'stop'):
    monkeypatch.setattr(
        jax.profiler,
        f'{name}_trace',
        lambda *_, name=name: calls.append(f'{name} before {now[-1]}'),
    )
  profile = telemetry.Profile(tmp_path, steps)
  for step in range(2, 6):
    now.append(step)
    profile.before_step(step, None)
  now.append('end')
  profile.close()
  profile.close()
  assert calls == told


def _trace(folder):
  profile = telemetry.Profile(folder, (1, 1))
  for step in (1, 2):
    profile.before_step(step, jnp.ones(4) * step)


@pytest.mark.slow
def test_a_trace_is_written(tmp_path):
  # Where another test has loaded libtpu into this process, JAX's profiler
  # crashes.
  measuring.in_new_process(_trace, tmp_path)
  assert list(tmp_path.glob('plugins/profile/*/*.xplane.pb'))
