"""The copy operation, compared with attention kernels and a matrix product.

In training, 1,024 targets copy from 3,072 positions. In tracking 480p video at
stride 8, 6,420 targets copy from one to 20 frames of 6,420 positions.
Embeddings and values have 64 channels, as attention kernels require. A forward
pass counts as two matrix products, a gradient with its forward pass as six,
even if some are computed twice. `plain` and `blockwise` are `copying.copy`
without and with a `block_size`.
"""

import functools

import jax
from jax import numpy as jnp
import numpy as np

from experiments.benchmarks import measuring
from vidcolor import copying
from vidcolor import windowed

_WIDTH = 64
_SIDE = 2048  # Side of the matrices in the plain product, the ceiling.
_TRAINING = (32, 32), 3
_GRID = 60, 107  # 480p at stride 8.
_MEMORIES = 1, 3, 20
# With larger memories, the plain affinity fills the machine's memory.
_PLAIN_MEMORIES = 1, 3
_BLOCK = 1024
_RADIUS = 12
_TOP_K = 5
_TEMPERATURE = 0.07


def measure(settings: measuring.Settings) -> list[measuring.Measurement]:
  """Times all forms and measures their memory."""
  measurements = _attention('training', *_TRAINING, settings.rounds, 0.75)
  for memory in _MEMORIES:
    name = f'480p, memory {memory}'
    measurements += _attention(name, _GRID, memory, settings.rounds, 0.6)
  return measurements + _memory() + _windows(settings.rounds)


def _attention(name, grid, memory, rounds, aim):
  """Measures forward pass and gradient of one size, and the ceiling."""
  arrays = _arrays(grid, memory)
  ours = {'blockwise': _blockwise}
  others = {}
  if memory in _PLAIN_MEMORIES:
    ours['plain'] = copying.copy
    others = {'jax.nn': _jax_attention, 'products alone': _products}
  square = jnp.ones((_SIDE, _SIDE))
  ceiling = functools.partial(jax.jit(jnp.matmul), square, square)
  size = grid[0] * grid[1]
  measurements = []
  for kind, products in (('forward', 2), ('gradient', 6)):
    wrap = _gradient_of if kind == 'gradient' else lambda function: function
    calls = {'ceiling': ceiling} | {
        form: functools.partial(jax.jit(wrap(function)), *arrays)
        for form, function in (ours | others).items()
    }
    calls |= _torch_attention(arrays, kind)
    seconds = measuring.time_in_turn(calls, rounds)
    flops = products * 2 * size * size * memory * _WIDTH
    speed = {form: flops / value / 1e9 for form, value in seconds.items()}
    speed['ceiling'] = 2 * _SIDE**3 / seconds['ceiling'] / 1e9
    title = f'{name}, {kind}'
    measurements += [
        measuring.measurement(f'{title}: {form}', 'GFLOP/s', value)
        for form, value in speed.items()
    ]
    measurements += [
        measuring.measurement(
            f'{title}: {form} of the ceiling',
            'times',
            speed[form] / speed['ceiling'],
            at_least=aim,
        )
        for form in ours
    ]
  return measurements


def _arrays(grid, memory):
  """Returns unit embeddings, as of the networks here, and values."""
  unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  shape = *grid, _WIDTH
  arrays = unit(draw(1, *shape)), unit(draw(1, memory, *shape))
  return [jnp.asarray(x) for x in (*arrays, draw(1, memory, *shape))]


def _blockwise(target, reference, values):
  return copying.copy(target, reference, values, block_size=_BLOCK)


def _jax_attention(target, reference, values):
  heads = lambda x: x.reshape(1, -1, 1, _WIDTH)
  return jax.nn.dot_product_attention(
      heads(target), heads(reference), heads(values), scale=1.0
  )


def _products(target, reference, values):
  """Computes only the two matrix products that every form needs."""
  flat = lambda x: x.reshape(-1, _WIDTH)
  return (flat(target) @ flat(reference).T) @ flat(values)


def _gradient_of(function):
  """Returns the gradient of the sum of squares for all three arrays."""
  loss = lambda *arrays: (function(*arrays) ** 2).sum()
  return jax.grad(loss, argnums=(0, 1, 2))


def _torch_attention(arrays, kind):
  """Returns a function that runs PyTorch's attention, by its name.

  The result is empty without PyTorch, and where JAX computes on no CPU.
  """
  torch = measuring.torch()
  if torch is None or jax.default_backend() != 'cpu':
    return {}
  heads = [
      torch.tensor(np.asarray(x)).reshape(1, 1, -1, _WIDTH) for x in arrays
  ]
  query, key, value = heads

  def forward():
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, scale=1.0
    )

  def gradient():
    for x in heads:
      x.requires_grad_().grad = None
    (forward() ** 2).sum().backward()

  return {'torch': forward if kind == 'forward' else gradient}


def _memory():
  """Measures the memory of both forms, each in a new process."""
  measurements = []
  for kind in 'forward', 'gradient':
    taken = {
        form: measuring.in_new_process(_memory_of, form, kind)
        for form in ('plain', 'blockwise')
    }
    title = f'480p, memory 3, {kind}: memory'
    measurements += [
        measuring.measurement(f'{title}, {form}', 'MB', size / 1e6)
        for form, size in taken.items()
    ]
    share = taken['blockwise'] / taken['plain']
    measurements.append(
        measuring.measurement(f'{title}, share', 'times', share, at_most=0.1)
    )
  return measurements


def _memory_of(form, kind):
  """Measures the process: XLA's own plan omits the memory of its kernels."""
  function = {'plain': copying.copy, 'blockwise': _blockwise}[form]
  function = _gradient_of(function) if kind == 'gradient' else function
  arrays = _arrays(_GRID, 3)
  compiled = jax.jit(function).lower(*arrays).compile()
  memory = measuring.Memory()
  jax.block_until_ready(compiled(*arrays))
  return memory.peak()


def _windows(rounds):
  """Compares windows and best matches with a mask over all positions."""
  arrays, measurements = _arrays(_GRID, 3), []
  for name, top_k in (('all of the window', None), ('best 5', _TOP_K)):
    near = functools.partial(
        copying.copy, radius=_RADIUS, top_k=top_k, temperature=_TEMPERATURE
    )
    masked = functools.partial(_dense_masked, top_k=top_k)
    calls = {
        'windowed': functools.partial(jax.jit(near), *arrays),
        'dense masked': functools.partial(jax.jit(masked), *arrays),
    }
    seconds = measuring.time_in_turn(calls, rounds)
    title = f'480p, memory 3, radius 12, {name}'
    measurements += [
        measuring.measurement(f'{title}: {key}', 'ms', 1e3 * value)
        for key, value in seconds.items()
    ]
    ratio = seconds['dense masked'] / seconds['windowed']
    measurements.append(
        measuring.measurement(
            f'{title}: windowed faster', 'times', ratio, at_least=8
        )
    )
  return measurements


def _dense_masked(target, reference, values, *, top_k):
  """Copies in the simplest way: masks the affinity of all positions."""
  y, x = (axis.ravel() for axis in np.indices(_GRID))
  near = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2 <= _RADIUS**2
  mask = jnp.where(near, 0.0, windowed.MASKED)[:, None]
  flat = lambda array: array.reshape(-1, _WIDTH)
  scores = flat(target) @ flat(reference).T / _TEMPERATURE
  scores = scores.reshape(len(mask), -1, len(mask)) + mask
  scores, values = scores.reshape(len(mask), -1), flat(values)
  if top_k is None:
    return windowed.weighted_mean(scores, values)
  best, chosen = jax.lax.top_k(scores, top_k)
  return jnp.einsum('nk,nkc->nc', jax.nn.softmax(best), values[chosen])
