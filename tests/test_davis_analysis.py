import numpy as np
import pytest
from scipy import stats

from vidcolor import errors
from vidcolor.benchmarks.davis import analysis

pytestmark = pytest.mark.slow

# As in DAVIS 2016's Annotations/db_info.yml; the sequences are made up.
DB_INFO = """\
attributes: [AC, OCC, SV]
sequences:

- name: walk
  attributes: [SV, OCC]
  num_frames: 82
  set: train
  eval_t: True

- name: run
  attributes: []
  num_frames: 69
  set: val
  eval_t: False

- name: jump
  attributes: [SV]
  num_frames: 50
  set: val
  eval_t: True
"""


def _singles(values):
  """One value for each sequence."""
  return list(np.asarray(values, float)[:, None])


def _correlated(rng, num_sequences, num_frames, pearson=0.5):
  """Normal variables, nearly the same all along a sequence."""
  draw = lambda: (
      0.95**0.5 * rng.standard_normal((num_sequences, 1))
      + 0.05**0.5 * rng.standard_normal((num_sequences, num_frames))
  )
  x = draw()
  return list(x), list(pearson * x + (1 - pearson**2) ** 0.5 * draw())


def _bonett_wright(rho, n):
  """The interval by Fisher's z (Bonett and Wright, Psychometrika 2000)."""
  half = stats.norm.ppf(0.975) * np.sqrt((1 + rho**2 / 2) / (n - 3))
  return np.tanh(np.arctanh(rho) + half * np.array([-1, 1]))


def test_mean_by_frame_is_over_the_sequences_that_long():
  curve = analysis.mean_by_frame(
      [np.array([1.0, 0.5, 0.25]), np.array([1.0]), np.array([0.4, 0.1])]
  )
  np.testing.assert_allclose(curve, [0.8, 0.3, 0.25])


def test_reads_attributes_as_published(tmp_path):
  path = tmp_path / 'db_info.yml'
  path.write_text(DB_INFO)
  assert analysis.read_attributes(path) == {
      'walk': ['SV', 'OCC'],
      'run': [],
      'jump': ['SV'],
  }


@pytest.mark.parametrize(
    'text', ['', 'sequences: 3', 'sequences:\n- name: walk', '[', 'a b', '\0']
)
def test_refuses_another_file_of_attributes(text, tmp_path):
  path = tmp_path / 'db_info.yml'
  path.write_text(text)
  with pytest.raises(errors.UserError, match='db_info.yml'):
    analysis.read_attributes(path)


def test_names_a_missing_file_of_attributes(tmp_path):
  with pytest.raises(errors.UserError, match='nothing.yml: No such file'):
    analysis.read_attributes(tmp_path / 'nothing.yml')


def test_mean_by_attribute():
  means = analysis.mean_by_attribute(
      {'walk': 0.8, 'run': 0.5, 'jump': 0.4},
      {'walk': ['SV', 'OCC'], 'jump': ['SV'], 'run': [], 'swim': ['AC']},
  )
  assert means == {'OCC': 0.8, 'SV': pytest.approx(0.6)}
  assert list(means) == ['OCC', 'SV']


def test_attributes_are_sorted_by_the_gain_of_the_last_method():
  first = {'FM': 0.2, 'OCC': 0.4, 'SV': 0.5}
  last = {'SV': 0.5, 'FM': 0.4, 'OCC': 0.6, 'AC': 0.1}
  assert [
      list(row.items()) for row in analysis.sort_by_gain([first, last])
  ] == [
      [('FM', 0.2), ('OCC', 0.4), ('SV', 0.5)],
      [('FM', 0.4), ('OCC', 0.6), ('SV', 0.5)],
  ]


def test_rho_is_spearmans():
  rng = np.random.default_rng(0)
  lengths = (7, 3, 12, 5, 9)
  # Of few values, so that many are tied.
  x = [rng.integers(5, size=n).astype(float) for n in lengths]
  y = [values + rng.integers(4, size=len(values)) for values in x]
  expected = stats.spearmanr(np.concatenate(x), np.concatenate(y)).statistic
  rho, low, high = analysis.rank_correlation(x, y, num_resamples=100)
  assert rho == pytest.approx(expected)
  assert low < rho < high


def test_bootstrap_agrees_with_fishers_z():
  rng = np.random.default_rng(0)
  x = rng.standard_normal(200)
  y = 0.6 * x + 0.8 * rng.standard_normal(200)
  rho, *interval = analysis.rank_correlation(_singles(x), _singles(y))
  np.testing.assert_allclose(interval, _bonett_wright(rho, 200), atol=0.02)


def test_interval_holds_the_truth_as_often_as_it_says():
  rng = np.random.default_rng(0)
  truth = 6 / np.pi * np.arcsin(0.5 / 2)  # For normal variables.
  covered = np.zeros(2)
  for _ in range(40):
    x, y = _correlated(rng, num_sequences=25, num_frames=8)
    frames = [_singles(np.concatenate(values)) for values in (x, y)]
    for index, pair in enumerate([(x, y), frames]):
      _, low, high = analysis.rank_correlation(*pair, num_resamples=100)
      covered[index] += low <= truth <= high
  assert 0.85 < covered[0] / 40
  assert covered[1] / 40 < 0.7  # As if frames were independent.


def test_too_little_has_no_interval():
  rising = _singles(range(4))
  assert analysis.rank_correlation(rising, rising) == pytest.approx(
      (1, np.nan, np.nan), nan_ok=True
  )
  constant = _singles([1] * 6)
  assert np.isnan(analysis.rank_correlation(constant, constant)).all()


def test_failure_goes_with_colour_error():
  rng = np.random.default_rng(0)
  color_errors = [rng.uniform(0, 10, n) + i for i, n in enumerate(range(5, 13))]
  scores = [np.exp(-values) for values in color_errors]
  correlations = analysis.failure_correlation(color_errors, scores)
  per_frame = correlations['per_frame']
  assert per_frame.rho == pytest.approx(1) == per_frame.low

  mean = lambda sequences: [values.mean() for values in sequences]
  assert correlations['per_sequence'].rho == pytest.approx(
      -stats.spearmanr(mean(color_errors), mean(scores)).statistic
  )


def test_what_time_explains_is_taken_off():
  """Two errors that share but their growth; then two that share more."""
  rng = np.random.default_rng(0)
  grow = lambda: [np.arange(60) + rng.normal(0, 15, 60) for _ in range(12)]
  color_errors, failures = grow(), grow()
  correlate = lambda: analysis.failure_correlation(
      color_errors, [1 - values for values in failures]
  )
  correlations = correlate()
  assert correlations['per_frame'].rho > 0.4
  given_time = correlations['per_frame_given_time']
  assert abs(given_time.rho) < 0.1 and given_time.low < 0 < given_time.high
  failures = [a + b for a, b in zip(color_errors, failures, strict=True)]
  assert correlate()['per_frame_given_time'].low > 0.4
