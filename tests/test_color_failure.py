from jax import numpy as jnp
import numpy as np
import pytest

from vidcolor.benchmarks.davis import color_failure
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.tracking import propagation


def _same_position(frame):
  rows, columns = frame.shape[0] // 8, frame.shape[1] // 8
  return 20 * jnp.eye(rows * columns).reshape(rows, columns, -1)


@pytest.mark.parametrize('count', [4, 5])
def test_tells_an_interval_only_of_five_sequences_or_more(count, tmp_path):
  rng = np.random.default_rng(0)
  videos = [
      davis_data.AnnotatedSequence(
          name=f'{index}',
          frames=list(rng.integers(0, 256, (5, 16, 16, 3), np.uint8)),
          masks=[],
          frame_names=[],
      )
      for index in range(count)
  ]
  scores = {v.name: {'j_by_frame': rng.uniform(size=3)} for v in videos}
  tracker = propagation.LabelPropagator(
      _same_position, propagation.PropagationOptions()
  )
  results = {
      'per_sequence': scores,
      'color_failure': color_failure.analyze(tracker, videos, scores),
  }
  section = color_failure.section(results, tmp_path)
  rho, low, _ = results['color_failure']['per_sequence'].values()
  assert f'rho {rho:.2f}' in section.text and 'nan' not in section.text
  assert np.isnan(low) == ('95% interval' not in section.text) == (count < 5)
