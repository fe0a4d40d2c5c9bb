"""Label propagation, compared with DINO's and CRW's code.

All get the same embeddings and options. They run in turn, each in new
processes, on 480p video at stride 8.
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

_SHORT_SIDE = 240  # At the network's stride of 4, as 480 at stride 8.
_NUM_FRAMES = 10
_ROUNDS = 3
_COMMON_OPTIONS = peers.CommonOptions()
_COMMON: dict[str, Any] = {
    'recent': _COMMON_OPTIONS.recent,
    'top_k': _COMMON_OPTIONS.top_k,
    'temperature': _COMMON_OPTIONS.temperature,
    'unit_length': True,
}
# Options that copy their behaviour. Their windows and first frames differ.
_OPTIONS = {
    'DINO': propagation.PropagationOptions(
        radius=_COMMON_OPTIONS.radius, square_window=True, **_COMMON
    ),
    'CRW': propagation.PropagationOptions(
        radius=_COMMON_OPTIONS.radius - 1e-6,
        window_first=False,
        repeat_first=True,
        **_COMMON,
    ),
}
_PEERS = {'DINO': peers.dino, 'CRW': peers.crw}


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Compares with both implementations in `settings.peers_dir`."""
  frames, masks = _sequence(settings.davis_dir)
  network = vidcolor.load_pretrained_network().model
  embed = propagation.single_image(
      network, propagation.PropagationOptions(short_side=_SHORT_SIDE)
  )
  embeddings = np.stack([np.asarray(embed(frame)) for frame in frames])
  first = labels_lib.from_mask(jnp.asarray(masks[0]), int(masks[0].max()) + 1)
  shape = *embeddings.shape[1:3], first.shape[-1]
  first = np.asarray(jax.image.resize(first, shape, 'linear'))
  measurements = []
  for name in _PEERS:
    measurements += _compare(name, embeddings, first, masks, settings.peers_dir)
  return measurements


def check(peers_dir: str) -> None:
  """Checks that their code can be imported.

  Raises:
    UserError: Their code or one of its dependencies is missing.
  """
  for load in _PEERS.values():
    load(peers_dir, _COMMON_OPTIONS)


def _sequence(davis_dir):
  """Returns frames and masks of DAVIS's first sequence, or rendered ones."""
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
  measurements, both = [], []
  for way, results in runs.items():
    seconds, memory, labels = zip(*results, strict=True)
    seconds, memory, j = map(
        np.array, (seconds, memory, _mean_j(labels[0], masks))
    )
    both.append((seconds, memory, j, labels[0]))
    title = f'as {name}, {way}'
    measurements += [
        measuring.measurement(f'{title}: a frame', 'ms', 1e3 * seconds),
        measuring.measurement(f'{title}: memory', 'MB', memory / 1e6),
        measuring.measurement(f'{title}: J', '', j),
    ]
  (fast, small, j, labels), (slow, large, their_j, their_labels) = both
  return measurements + [
      measuring.measurement(
          f'{name}, faster', 'times', slow / fast, at_least=5
      ),
      measuring.measurement(
          f'{name}, memory of theirs', 'times', small / large, at_most=0.1
      ),
      measuring.measurement(
          f'{name}, difference in J', '', abs(j - their_j), at_most=0.005
      ),
      measuring.measurement(
          f'{name}, largest difference of a label',
          '',
          abs(labels - their_labels).max(),
      ),
  ]


def _run(name, peers_dir, embeddings, first):
  """Returns seconds a frame, memory and labels. Without a folder, runs ours.

  The time excludes the preparation of the video and the first frames, which
  have fewer references. CRW's code matches all frames before it labels the
  second frame. Its time is therefore the mean over all frames, including the
  first.
  """
  propagate = (
      _PEERS[name](peers_dir, _COMMON_OPTIONS) if peers_dir else _ours(name)
  )
  steps = propagate(embeddings, first)
  memory = measuring.Memory()
  labels, times = [], [time.perf_counter()]
  for copied in steps:
    labels.append(copied)
    times.append(time.perf_counter())
  if peers_dir and name == 'CRW':
    seconds = (times[-1] - times[0]) / len(embeddings)
  else:
    seconds = np.diff(times)[_COMMON_OPTIONS.recent :].mean()
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
  """Returns the mean J of all frames except the first, which is given."""
  height, width = masks[0].shape
  found = [
      np.asarray(labels_lib.to_mask(jnp.asarray(x), height, width))
      for x in labels
  ]
  scores = davis_metrics.score_masks(
      [masks[0], *found], masks, int(masks[0].max())
  )
  return float(scores.j[:, 1:].mean())
