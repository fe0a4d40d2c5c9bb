import jax
from jax import numpy as jnp
import numpy as np
from skimage import color as skimage_color

from data_prep import palette as palette_lib
from vidcolor import color


def _all_corners_and_noise():
  corners = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), -1)
  noise = np.random.default_rng(0).integers(0, 256, (4096, 3))
  return np.concatenate([corners.reshape(-1, 3), noise]).astype(np.uint8)


def test_lab_agrees_with_scikit_image():
  rgb = _all_corners_and_noise()
  expected = skimage_color.rgb2lab(rgb)
  from_bytes = jax.jit(color.rgb_to_lab)(rgb)
  from_float = jax.jit(color.rgb_to_lab)(jnp.asarray(rgb / 255.0, jnp.float32))
  np.testing.assert_allclose(from_bytes, expected, atol=1e-3)
  np.testing.assert_allclose(from_float, expected, atol=1e-3)


def test_rgb_agrees_with_scikit_image_and_inverts_lab():
  rgb = _all_corners_and_noise()
  lab = skimage_color.rgb2lab(rgb).astype(np.float32)
  actual = jax.jit(color.lab_to_rgb)(jnp.asarray(lab))
  np.testing.assert_allclose(actual, rgb / 255.0, atol=1e-3)


def test_colours_out_of_gamut_match_scikit_image():
  lab = np.array([[50, 100, -100], [90, -90, 90], [20, 60, 60]], np.float32)
  # scikit-image clips the same way; the second colour is clipped twice.
  np.testing.assert_allclose(
      color.lab_to_rgb(jnp.asarray(lab)), skimage_color.lab2rgb(lab), atol=1e-3
  )


def test_gradient_is_finite_at_black():
  gradient = jax.jit(jax.grad(lambda x: color.rgb_to_lab(x).sum()))
  assert np.isfinite(gradient(jnp.zeros((1, 3)))).all()


def test_networks_see_grey_or_lab():
  lab = jnp.array([[0.0, 0.0, 0.0], [100.0, 25.0, -50.0]])
  seen = np.array([[-1.0, 0.0, 0.0], [1.0, 1.0, -2.0]])
  np.testing.assert_allclose(color.network_input(lab, 3), seen, atol=1e-6)
  np.testing.assert_allclose(color.network_input(lab, 1), seen[:, :1])


def test_palette_finds_the_clusters_and_is_seeded(tmp_path):
  rng = np.random.default_rng(0)
  centers = np.array([[40, 0], [0, 50], [-60, 0], [0, -30]], np.float32)
  samples = (centers[:, None] + rng.normal(0, 1, (4, 200, 2))).reshape(-1, 2)
  palette = palette_lib.cluster_colors(samples, 4, seed=0)
  np.testing.assert_array_equal(
      palette, palette_lib.cluster_colors(samples, 4, seed=0)
  )
  distance = np.linalg.norm(palette[:, None] - centers, axis=-1)
  assert (distance.min(axis=0) < 0.5).all()

  color.save_palette(tmp_path / 'palette.npy', palette)
  np.testing.assert_array_equal(
      color.load_palette(tmp_path / 'palette.npy'), palette
  )


def test_quantize_picks_the_nearest_colour():
  rng = np.random.default_rng(1)
  palette = rng.uniform(-80, 80, (16, 2)).astype(np.float32)
  ab = rng.uniform(-100, 100, (3, 50, 2)).astype(np.float32)
  expected = np.linalg.norm(ab[..., None, :] - palette, axis=-1).argmin(-1)
  np.testing.assert_array_equal(
      color.quantize(jnp.asarray(ab), jnp.asarray(palette)), expected
  )
