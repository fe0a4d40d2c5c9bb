"""Counts the floating-point operations of a traced function."""

import math

from jax.extend import core
import numpy as np


def count(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> int:
  """Counts the FLOPs of all matrix products and convolutions.

  A product and its sum are two FLOPs. Products with zeros of padding or
  dilation do not count. All iterations of a `scan` do, but one of a `while`.
  Of branches, the dearest counts, and of those for platforms, the default.
  Other operations are left out: they are few in a network.
  """
  return sum(map(_of_equation, jaxpr.eqns))


def _of_equation(equation):
  name, params = equation.primitive.name, equation.params
  if name == 'dot_general':
    (contracted, _), _ = params['dimension_numbers']
    shape = equation.invars[0].aval.shape
    terms = math.prod(shape[axis] for axis in contracted)
    return 2 * terms * math.prod(equation.outvars[0].aval.shape)
  if name == 'conv_general_dilated':
    return 2 * _products(equation)
  inner = [
      count(item)
      for value in params.values()
      for item in (value if isinstance(value, (tuple, list)) else [value])
      if isinstance(item, (core.Jaxpr, core.ClosedJaxpr))
  ]
  if name == 'cond':
    # Branches for platforms compute the same, some with products of padding.
    platforms = params.get('branches_platforms') or ()
    return inner[platforms.index(None)] if None in platforms else max(inner)
  return params.get('length', 1) * sum(inner)


def _products(equation):
  """Returns the number of products in a convolution."""
  params = equation.params
  x, kernel = (v.aval.shape for v in equation.invars)
  numbers = params['dimension_numbers']
  batch, features, *_ = (
      equation.outvars[0].aval.shape[axis] for axis in numbers.out_spec
  )
  total = batch * features * kernel[numbers.rhs_spec[1]]
  for axis, (x_axis, kernel_axis, out_axis) in enumerate(
      zip(
          numbers.lhs_spec[2:],
          numbers.rhs_spec[2:],
          numbers.out_spec[2:],
          strict=True,
      )
  ):
    # Which element of the dilated input each pair of an output and a tap reads.
    stride, dilation = (
        params['window_strides'][axis],
        params['lhs_dilation'][axis],
    )
    outputs = np.arange(equation.outvars[0].aval.shape[out_axis])
    taps = np.arange(kernel[kernel_axis]) * params['rhs_dilation'][axis]
    read = outputs[:, None] * stride + taps - params['padding'][axis][0]
    is_element = (read >= 0) & (read % dilation == 0)
    is_element &= read // dilation < x[x_axis]
    total *= int(is_element.sum())
  return total
