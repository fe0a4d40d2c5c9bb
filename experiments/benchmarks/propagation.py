"""Label propagation beside DINO's and CRW's code, embeddings and knobs equal.

Each runs in processes of its own, in turn, on 480p video at stride 8.
"""

import time
from typing import Any

import jax
from jax import numpy as jnp
import numpy as np

from experiments.benchmarks import measuring
from experiments.benchmarks import peers
import vidcolor
from vidcolor import masks as masks_lib
from vidcolor.benchmarks.davis import data as davis_data
from vidcolor.benchmarks.davis import metrics as davis_metrics
from vidcolor.data import synthetic
from vidcolor.tracking import labels as labels_lib
from vidcolor.tracking import propagation

_SHORT_SIDE = 240  # Of the network's input: at its stride of 4 as 480 at 8.
_NUM_FRAMES = 10
_ROUNDS = 3
_KNOBS = peers.Knobs()
_COMMON: dict[str, Any] = {
    'recent': _KNOBS.recent,
    'top_k': _KNOBS.top_k,
    'temperature': _KNOBS.temperature,
    'unit_length': True,
}
# Ours as theirs: their windows differ, and what they do at the start.
_OPTIONS = {
    'DINO': propagation.PropagationOptions(
        radius=_KNOBS.radius, square_window=True, **_COMMON
    ),
    'CRW': propagation.PropagationOptions(
        radius=_KNOBS.radius - 1e-6,
        window_first=False,
        repeat_first=True,
        **_COMMON,
    ),
}
_PEERS = {'DINO': peers.dino, 'CRW': peers.crw}


def measure(settings: measuring.Settings) -> list[measuring.Figure]:
  """Times both pairs, by the code in `settings.peers_dir`."""
  frames, masks = _sequence(settings.davis_dir)
  network = vidcolor.load_pretrained_network().model
  embed = propagation.single_image(network, _SHORT_SIDE)
  embeddings = np.stack([np.asarray(embed(frame)) for frame in frames])
  first = labels_lib.from_mask(jnp.asarray(masks[0]), int(masks[0].max()) + 1)
  shape = *embeddings.shape[1:3], first.shape[-1]
  first = np.asarray(jax.image.resize(first, shape, 'linear'))
  figures = []
  for name in _PEERS:
    figures += _compare(name, embeddings, first, masks, settings.peers_dir)
  return figures


def check(peers_dir: str) -> None:
  """Sees to it that their code is there.

  Raises:
    UserError: it is not, or something that it wants.
  """
  for load in _PEERS.values():
    load(peers_dir, _KNOBS)


def _sequence(davis_dir):
  """Frames and masks, of DAVIS' first sequence or rendered ones."""
  if davis_dir is None:
    clip = synthetic.render_clip(
        0, num_frames=_NUM_FRAMES, height=480, width=854
    )
    return clip.frames, clip.masks
  sequence = davis_data.read_davis(davis_dir)[0]
  masks = [masks_lib.without_void(x) for x in sequence.masks[:_NUM_FRAMES]]
  return sequence.frames[:_NUM_FRAMES], masks


def _compare(name, embeddings, first, masks, peers_dir):
  runs = {'ours': [], name: []}
  for _ in range(_ROUNDS):
    for way, results in runs.items():
      peer = None if way == 'ours' else peers_dir
      results.append(
          measuring.in_new_process(_run, name, peer, embeddings, first)
      )
  figures, both = [], []
  for way, results in runs.items():
    seconds, memory, labels = zip(*results, strict=True)
    seconds, memory, j = map(
        np.array, (seconds, memory, _mean_j(labels[0], masks))
    )
    both.append((seconds, memory, j, labels[0]))
    title = f'as {name}, {way}'
    figures += [
        measuring.figure(f'{title}: a frame', 'ms', 1e3 * seconds),
        measuring.figure(f'{title}: memory', 'MB', memory / 1e6),
        measuring.figure(f'{title}: J', '', j),
    ]
  (fast, small, j, labels), (slow, large, their_j, their_labels) = both
  return figures + [
      measuring.figure(f'{name}, faster', 'times', slow / fast, at_least=5),
      measuring.figure(
          f'{name}, memory of theirs', 'times', small / large, at_most=0.1
      ),
      measuring.figure(
          f'{name}, difference in J', '', abs(j - their_j), at_most=0.005
      ),
      measuring.figure(
          f'{name}, largest difference of a label',
          '',
          abs(labels - their_labels).max(),
      ),
  ]


def _run(name, peers_dir, embeddings, first):
  """Seconds a frame, memory taken, and the labels; ours without a folder.

  What is prepared once a video does not count, nor do the first frames, which
  have fewer references. CRW's code finds the matches of all frames before it
  labels the second: its mean is over all whose matches it finds, the first
  frame's too.
  """
  propagate = _PEERS[name](peers_dir, _KNOBS) if peers_dir else _ours(name)
  steps = propagate(embeddings, first)
  memory = measuring.Memory()
  labels, times = [], [time.perf_counter()]
  for copied in steps:
    labels.append(copied)
    times.append(time.perf_counter())
  if peers_dir and name == 'CRW':
    seconds = (times[-1] - times[0]) / len(embeddings)
  else:
    seconds = np.diff(times)[_KNOBS.recent :].mean()
  return seconds, memory.peak(), np.stack(labels)


def _ours(name):
  tracker = propagation.LabelPropagator(jnp.asarray, _OPTIONS[name])

  def propagate(embeddings, first):
    state = tracker.init(embeddings[0], jnp.asarray(first))
    for embedding in embeddings[1:]:
      state, labels = tracker.step(state, embedding)
      yield np.asarray(labels)

  return propagate


def _mean_j(labels, masks):
  """J of all frames but the first, whose labels are given."""
  height, width = masks[0].shape
  found = [
      np.asarray(labels_lib.to_mask(jnp.asarray(x), height, width))
      for x in labels
  ]
  scores = davis_metrics.score([masks[0], *found], masks, int(masks[0].max()))
  return float(scores.j[:, 1:].mean())
