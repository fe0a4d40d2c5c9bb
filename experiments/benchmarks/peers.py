"""Label propagation with DINO's and CRW's code, from their repositories.

  git clone https://github.com/facebookresearch/dino PEERS/dino
  git clone https://github.com/ajabri/videowalk PEERS/videowalk
  pip install torch imageio  # The CPU build of PyTorch 2.13 is enough.

They get the same embeddings as vidcolor. Their networks are not run.
"""

from collections.abc import Callable, Iterator
import importlib.util
import pathlib
import queue
import sys
import types
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks import measuring
from vidcolor import errors


class CommonOptions(NamedTuple):
  """Options that all implementations have.

  Attributes:
    recent: Number of reference frames in addition to the first frame.
    radius: Radius of the window in cells.
    top_k: Number of best matches to copy from.
    temperature: Temperature of the softmax.
  """

  recent: int = 7
  radius: int = 12
  top_k: int = 5
  temperature: float = 0.1  # Fixed in DINO's code.


# A function from embeddings [time h w d] and the first frame's labels
# [h w labels] to the labels of each later frame. The call prepares the video;
# the iteration does everything else.
Propagate = Callable[[np.ndarray, np.ndarray], Iterator[np.ndarray]]


def dino(peers_dir: str, options: CommonOptions) -> Propagate:
  """Runs `label_propagation` of DINO's eval_video_segmentation.py."""
  torch = _torch()
  # The code is written for GPUs.
  torch.Tensor.cuda = lambda self, *args, **kwargs: self
  # The code needs torchvision only to read pictures.
  stub: Any = types.ModuleType('torchvision')
  stub.transforms = None
  sys.modules.setdefault('torchvision', stub)
  code = _load(pathlib.Path(peers_dir, 'dino', 'eval_video_segmentation.py'))
  args = types.SimpleNamespace(
      size_mask_neighborhood=options.radius, topk=options.top_k
  )
  # A network whose patches are pixels. It returns the embeddings after one
  # class token.
  tokens = lambda frame, n: [
      torch.nn.functional.pad(frame.flatten(2).mT, (0, 0, 1, 0))
  ]
  network = types.SimpleNamespace(
      get_intermediate_layers=tokens,
      patch_embed=types.SimpleNamespace(patch_size=1),
  )

  def propagate(embeddings, first_labels):
    # Their code makes the same mask with Python loops that take half a minute.
    mask = torch.tensor(
        _near(embeddings.shape[1:3], options.radius, np.maximum)
    )
    mask = mask.float()[None]
    frames = torch.tensor(np.moveaxis(embeddings, -1, 1))
    first = code.extract_feature(network, frames[0]).T
    first_labels = torch.tensor(np.moveaxis(first_labels, -1, 0))[None]
    return follow(mask, frames, first, first_labels)

  def follow(mask, frames, first, first_labels):
    recent = queue.Queue(options.recent)
    for frame in frames[1:]:
      pairs = [(first, first_labels), *recent.queue]
      features, references = map(list, zip(*pairs, strict=True))
      labels, feature, _ = code.label_propagation(
          args, network, frame, features, references, mask
      )
      if recent.full():
        recent.get()
      recent.put((feature, labels))
      yield np.moveaxis(labels[0].numpy(), 0, -1)

  return propagate


def crw(peers_dir: str, options: CommonOptions) -> Propagate:
  """Runs CRW's utils/test_utils.py, which matches all frames at once.

  The steps that follow in code/test.py are repeated here, because that file
  also draws.
  """
  torch = _torch()
  path = pathlib.Path(peers_dir, 'videowalk', 'code', 'utils', 'test_utils.py')
  code = _load(path)

  def propagate(embeddings, first_labels):
    count, height, width, _ = embeddings.shape
    # The first frame replaces the frames before it.
    padded = np.pad(embeddings, ((options.recent, 0), *3 * [(0, 0)]), 'edge')
    features = torch.tensor(np.moveaxis(padded, -1, 0))[None]
    features = torch.nn.functional.normalize(features, dim=1).flatten(-2)
    index = torch.cat(
        code.context_index_bank(options.recent, [0], count), dim=-1
    )
    keys = features[:, :, index]
    # Their disk excludes the radius itself.
    near = _near((height, width), options.radius - 1e-6, np.add)
    mask = torch.where(torch.tensor(near), 0.0, -1e10)[None, None]
    labels = torch.zeros(len(padded), height * width, first_labels.shape[-1])
    labels[: options.recent + 1] = torch.tensor(first_labels).flatten(0, 1)
    found = follow(features[:, :, options.recent :], keys, mask, index, labels)
    return (x.reshape(height, width, -1).numpy() for x in found)

  def follow(queries, keys, mask, index, labels):
    weights, places = code.mem_efficient_batched_affinity(
        queries, keys, mask, options.temperature, options.top_k, [0], 'cpu'
    )
    for t in range(1, len(index)):
      references = labels[index[t]].flatten(0, 1)
      # The first axis holds the matches of a position.
      copied = (references[places[t]] * weights[t][..., None]).sum(0)
      labels[options.recent + t] = copied
      yield copied

  return propagate


def _near(grid, radius, combine):
  """Returns whether two positions are within the radius, [h*w h*w]."""
  y, x = (axis.ravel().astype(np.int16) for axis in np.indices(grid))
  squared = lambda axis: (axis[:, None] - axis) ** 2
  return combine(squared(y), squared(x)) <= radius**2


def _torch():
  torch = measuring.torch()
  if torch is None:
    raise errors.UserError('--peers_dir needs PyTorch: pip install torch')
  return torch


def _load(path):
  """Imports a file, which may import its neighbours."""
  if not path.is_file():
    raise errors.UserError(
        f'there is no {path}: clone the repository, or leave out --peers_dir'
    )
  sys.path.insert(0, str(path.parent))
  try:
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
  except ImportError as error:
    raise errors.UserError(
        f'{path} cannot be imported ({error}): install what it needs'
    ) from error
  finally:
    sys.path.remove(str(path.parent))
  return module
