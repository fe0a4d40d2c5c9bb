from jax import numpy as jnp
import numpy as np

from vidcolor.tracking import labels

SIZE, GRID = (60, 80), (15, 10)  # Cells of 8 x 4 pixels.


def test_points_are_found_where_they_were_put():
  points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * (48, 48) + (16, 6)
  soft = labels.from_points(points, SIZE, GRID)
  np.testing.assert_allclose(soft.sum((0, 1)), np.ones(50), rtol=1e-5)
  position, confidence = labels.to_points(soft, SIZE)
  cells = (np.asarray(position) - points) / (8, 4)
  assert np.abs(cells).max() < 0.05
  assert confidence.min() > 0.9


def test_the_corner_cells_middle_is_the_mean_of_its_pixels():
  soft = labels.from_points(np.array([[3.5, 1.5]]), SIZE, GRID)
  assert np.unravel_index(soft.argmax(), soft.shape) == (0, 0, 0)
  soft = labels.from_points(np.array([[3.5 + 8, 1.5 + 8]]), SIZE, GRID)
  assert np.unravel_index(soft.argmax(), soft.shape) == (2, 1, 0)


def test_points_outside_are_taken_to_the_border():
  points = np.array([[-90.0, 30.0], [200.0, -7.0]])
  border = np.array([[3.5, 30.0], [75.5, 1.5]])
  np.testing.assert_allclose(
      labels.from_points(points, SIZE, GRID),
      labels.from_points(border, SIZE, GRID),
      atol=1e-6,
  )


def test_confidence_falls_with_what_is_left_and_nothing_is_nowhere():
  soft = labels.from_points(np.array([[40.0, 30.0]]), SIZE, GRID)
  shares = jnp.array([[[1, 0.5, 0.12, 0.08, 0]]])
  position, confidence = labels.to_points(soft * shares, SIZE)
  position, confidence = np.asarray(position), np.asarray(confidence)
  assert (np.diff(confidence) < 0).all()
  assert (confidence > 0.5).tolist() == [True] * 3 + [False] * 2
  assert confidence[-1] == 0 and np.isnan(position[-1]).all()
  np.testing.assert_allclose(position[:4], np.repeat(position[:1], 4, 0), 1e-5)
