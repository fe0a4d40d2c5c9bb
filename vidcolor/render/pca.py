"""Embeddings as colours."""

from jaxtyping import Float, UInt8
import numpy as np


def project(
    embeddings: Float[np.ndarray, 'time height width channels'],
) -> UInt8[np.ndarray, 'time height width 3']:
  """Shows the first three principal components as red, green and blue.

  All frames share a basis and a range, so what keeps its embedding keeps its
  colour. The range leaves out the farthest percent at either end.

  Args:
    embeddings: Of a video, with at least three channels.

  Returns:
    RGB frames of the embeddings' height and width.
  """
  points = embeddings.reshape(-1, embeddings.shape[-1]).astype(np.float32)
  points -= points.mean(0)
  _, vectors = np.linalg.eigh((points.T @ points).astype(np.float64))
  basis = vectors[:, :-4:-1]
  # A component may as well point the other way: its largest weight decides.
  largest = np.take_along_axis(basis, np.abs(basis).argmax(0)[None], 0)
  components = points @ (basis * np.sign(largest)).astype(np.float32)
  low, high = np.percentile(components, [1, 99], axis=0)
  scaled = 255 * (components - low) / np.maximum(high - low, 1e-12)
  colours = np.clip(scaled.round(), 0, 255).astype(np.uint8)
  return colours.reshape(*embeddings.shape[:-1], 3)
