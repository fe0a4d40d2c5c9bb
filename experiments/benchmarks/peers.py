"""Label propagation by others' code, from clones of their repositories.

  git clone https://github.com/facebookresearch/dino PEERS/dino
  git clone https://github.com/ajabri/videowalk PEERS/videowalk
  pip install torch imageio  # 2.13's build for CPUs will do.

They get the embeddings that ours gets, and no network of theirs is run.
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


class Knobs(NamedTuple):
  """What both and ours have in common.

  Attributes:
    recent: References beside the first frame.
    radius: Of the window, in cells.
    top_k: Positions that are copied from.
    temperature: Of the softmax.
  """

  recent: int = 7
  radius: int = 12
  top_k: int = 5
  temperature: float = 0.1  # DINO's code has no other.


# From embeddings [time h w d] and the first frame's labels [h w labels] to
# those of each later frame. What is prepared once a video is prepared in the
# call, all else while iterating.
Propagate = Callable[[np.ndarray, np.ndarray], Iterator[np.ndarray]]


def dino(peers_dir: str, knobs: Knobs) -> Propagate:
  """DINO's eval_video_segmentation.py: `label_propagation`, and its queue."""
  torch = _torch()
  # It is written for GPUs.
  torch.Tensor.cuda = lambda self, *args, **kwargs: self
  # It only reads pictures with it, and there is no need of it here.
  stub: Any = types.ModuleType('torchvision')
  stub.transforms = None
  sys.modules.setdefault('torchvision', stub)
  code = _load(pathlib.Path(peers_dir, 'dino', 'eval_video_segmentation.py'))
  args = types.SimpleNamespace(
      size_mask_neighborhood=knobs.radius, topk=knobs.top_k
  )
  # A network whose patches are pixels: it hands over the embeddings, after one
  # of the class.
  tokens = lambda frame, n: [
      torch.nn.functional.pad(frame.flatten(2).mT, (0, 0, 1, 0))
  ]
  network = types.SimpleNamespace(
      get_intermediate_layers=tokens,
      patch_embed=types.SimpleNamespace(patch_size=1),
  )

  def propagate(embeddings, first_labels):
    # Theirs is the same, by four loops in Python that take half a minute.
    mask = torch.tensor(_near(embeddings.shape[1:3], knobs.radius, np.maximum))
    mask = mask.float()[None]
    frames = torch.tensor(np.moveaxis(embeddings, -1, 1))
    first = code.extract_feature(network, frames[0]).T
    first_labels = torch.tensor(np.moveaxis(first_labels, -1, 0))[None]
    return follow(mask, frames, first, first_labels)

  def follow(mask, frames, first, first_labels):
    recent = queue.Queue(knobs.recent)
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


def crw(peers_dir: str, knobs: Knobs) -> Propagate:
  """CRW's utils/test_utils.py, which finds the matches of all frames at once.

  What code/test.py then does with them is written out here: it draws as well.
  """
  torch = _torch()
  path = pathlib.Path(peers_dir, 'videowalk', 'code', 'utils', 'test_utils.py')
  code = _load(path)

  def propagate(embeddings, first_labels):
    count, height, width, _ = embeddings.shape
    # The first frame stands in for those before it.
    padded = np.pad(embeddings, ((knobs.recent, 0), *3 * [(0, 0)]), 'edge')
    features = torch.tensor(np.moveaxis(padded, -1, 0))[None]
    features = torch.nn.functional.normalize(features, dim=1).flatten(-2)
    index = torch.cat(code.context_index_bank(knobs.recent, [0], count), dim=-1)
    keys = features[:, :, index]
    # Its disk ends before the radius.
    near = _near((height, width), knobs.radius - 1e-6, np.add)
    mask = torch.where(torch.tensor(near), 0.0, -1e10)[None, None]
    labels = torch.zeros(len(padded), height * width, first_labels.shape[-1])
    labels[: knobs.recent + 1] = torch.tensor(first_labels).flatten(0, 1)
    found = follow(features[:, :, knobs.recent :], keys, mask, index, labels)
    return (x.reshape(height, width, -1).numpy() for x in found)

  def follow(queries, keys, mask, index, labels):
    weights, places = code.mem_efficient_batched_affinity(
        queries, keys, mask, knobs.temperature, knobs.top_k, [0], 'cpu'
    )
    for t in range(1, len(index)):
      references = labels[index[t]].flatten(0, 1)
      # The matches of a position lie along the first axis.
      copied = (references[places[t]] * weights[t][..., None]).sum(0)
      labels[knobs.recent + t] = copied
      yield copied

  return propagate


def _near(grid, radius, combine):
  """Whether two positions are within the radius, [h*w h*w]."""
  y, x = (axis.ravel().astype(np.int16) for axis in np.indices(grid))
  squared = lambda axis: (axis[:, None] - axis) ** 2
  return combine(squared(y), squared(x)) <= radius**2


def _torch():
  torch = measuring.torch()
  if torch is None:
    raise errors.UserError('--peers_dir needs PyTorch: install it')
  return torch


def _load(path):
  """The module of a file, which may import its neighbours."""
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
    raise errors.UserError(f'{path} wants a package: {error}') from error
  finally:
    sys.path.remove(str(path.parent))
  return module
