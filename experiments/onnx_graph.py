"""Writes the compact network as an ONNX graph, from RGB to embeddings.

The graph is built by hand, since `jax2onnx` 0.17 needs an older Orbax than
vidcolor does. It has standard operators only. Batch statistics are folded into
the convolutions.
"""

import dataclasses
from importlib import metadata
import json

from jax import numpy as jnp
import numpy as np
import onnx
from onnx import helper
from onnx import numpy_helper

from vidcolor import color
from vidcolor import errors
from vidcolor import network
from vidcolor.models import compact
from vidcolor.tracking import propagation

# Those of ONNX 1.13, from 2022, so that old runtimes can read the graph.
_OPSET, _IR_VERSION = 18, 8
# The network divides by the square root of the sum of squares and this.
_EPSILON = 1e-6


def build(trained: network.Network) -> onnx.ModelProto:
  """Returns the graph of a network.

  The input is `frame`, an RGB frame, uint8 [height, width, 3]. Height and width
  are any multiples of 8. The output is `embedding`, float32 [height / stride,
  width / stride, dim], of unit length. The metadata say what else a tracker
  needs: `options` is JSON of all `PropagationOptions`, `palette` is JSON of a
  and b of each color, and `version` is that of vidcolor.

  Args:
    trained: A compact network.

  Raises:
    UserError: The network is another one, or has no palette.
  """
  model = trained.model
  if not isinstance(model, compact.Model) or trained.palette is None:
    raise errors.UserError(
        f'the network is {trained.config.model.name}: only trained compact'
        ' networks, such as strong, can be written as ONNX'
    )
  graph = _Graph()
  seen = _network_input(graph, 'frame', model.channels)
  _encode(graph, model, seen, 'embedding')
  byte, number = onnx.TensorProto.UINT8, onnx.TensorProto.FLOAT
  frame = 'frame', byte, ('height', 'width', 3)
  embedding = (
      'embedding',
      number,
      ('rows', 'columns', model.embed_coarse.out_features),
  )
  proto = helper.make_model(
      helper.make_graph(
          graph.nodes,
          'vidcolor',
          [helper.make_tensor_value_info(*frame)],
          [helper.make_tensor_value_info(*embedding)],
          graph.constants,
      ),
      producer_name='vidcolor',
      opset_imports=[helper.make_opsetid('', _OPSET)],
      ir_version=_IR_VERSION,
  )
  options = propagation.PropagationOptions.from_config(trained.config)
  properties = {
      'options': json.dumps(dataclasses.asdict(options)),
      'palette': json.dumps(np.asarray(trained.palette, float).tolist()),
      'version': metadata.version('vidcolor'),
  }
  helper.set_model_props(proto, properties)
  onnx.checker.check_model(proto, full_check=True)
  return proto


class _Graph:
  """The nodes and the constants of a graph.

  Attributes:
    nodes: The nodes in order.
    constants: The constants.
  """

  def __init__(self):
    self.nodes, self.constants = [], []

  def add(self, operator, *inputs, output=None, **attributes):
    """Adds a node, and returns the name of its output.

    Args:
      operator: The operator.
      *inputs: Names of outputs of other nodes, or arrays.
      output: Name of the output. Default: a new one.
      **attributes: Attributes of the operator.
    """
    names = [x if isinstance(x, str) else self._constant(x) for x in inputs]
    output = output or f'{operator}_{len(self.nodes)}'
    self.nodes.append(helper.make_node(operator, names, [output], **attributes))
    return output

  def _constant(self, array):
    name = f'constant_{len(self.constants)}'
    self.constants.append(numpy_helper.from_array(np.asarray(array), name))
    return name


def _network_input(graph, frame, channels):
  """Adds what `color.rgb_to_lab` and `color.network_input` compute."""
  table = np.asarray(color.linear_from_srgb(np.arange(256) / 255), np.float32)
  bytes_ = graph.add('Cast', frame, to=onnx.TensorProto.INT32)
  linear = graph.add('Gather', table, bytes_)
  planes = graph.add('Transpose', linear, perm=[2, 0, 1])
  planes = graph.add('Unsqueeze', planes, np.array([0]))
  matrix = color.XYZ_FROM_RGB / color.WHITE[:, None]
  xyz = graph.add('Conv', planes, _pointwise(matrix))
  log = graph.add('Log', graph.add('Max', xyz, np.float32(color.EPSILON)))
  root = graph.add('Exp', graph.add('Div', log, np.float32(3)))
  line = graph.add('Mul', xyz, np.float32(color.SLOPE))
  line = graph.add('Add', line, np.float32(4 / 29))
  is_above = graph.add('Greater', xyz, np.float32(color.EPSILON))
  companded = graph.add('Where', is_above, root, line)
  # What follows is linear: its values at 0 and at the units say all.
  to_lab = np.array([[0, 116, 0], [500, -500, 0], [0, 200, -200]])
  lab = np.array([[0, 0, 0], *np.eye(3)]) @ to_lab.T - [16, 0, 0]
  scaled = color.network_input(jnp.asarray(lab), channels)
  start, *units = np.asarray(scaled, float)
  matrix = (np.array(units) - start).T
  return graph.add(
      'Conv', companded, _pointwise(matrix), np.asarray(start, np.float32)
  )


def _encode(graph, model, seen, output):
  """Adds what `compact.Model.encode` computes."""
  stem = np.asarray(model.stem.kernel[...])
  fine = _conv_norm(graph, seen, stem, model.stem_norm, stride=2)
  fine = graph.add('Relu', fine)
  for block in model.fine:
    fine = _block(graph, fine, block)
  coarse = fine
  for block in model.coarse:
    coarse = _block(graph, coarse, block)
  embedding = _conv(graph, coarse, model.embed_coarse)
  if model.stride == 4:
    fine = _conv(graph, fine, model.embed_fine)
    scales = np.array([1, 1, 2, 2], np.float32)
    embedding = graph.add('Resize', embedding, '', scales, mode='linear')
    embedding = graph.add('Add', fine, embedding)
  square = graph.add('ReduceSumSquare', embedding, np.array([1]))
  norm = graph.add('Sqrt', graph.add('Add', square, np.float32(_EPSILON)))
  embedding = graph.add('Div', embedding, norm)
  embedding = graph.add('Squeeze', embedding, np.array([0]))
  graph.add('Transpose', embedding, perm=[1, 2, 0], output=output)


def _block(graph, x, block):
  """Adds a `layers.BasicBlock`."""
  residual = x
  if block.project is not None:
    conv, norm = block.project.layers
    residual = _conv_norm(graph, x, _kernel(conv), norm, stride=conv.strides)
  stride = block.conv1.strides
  x = _conv_norm(graph, x, _kernel(block.conv1), block.norm1, stride=stride)
  x = graph.add('Relu', x)
  x = _conv_norm(graph, x, _kernel(block.conv2), block.norm2)
  return graph.add('Relu', graph.add('Add', x, residual))


def _conv_norm(graph, x, kernel, norm, stride=1):
  """Adds a convolution whose batch normalization is folded into it."""
  scale, bias, mean, variance = (
      np.asarray(x[...], float)
      for x in (norm.scale, norm.bias, norm.mean, norm.var)
  )
  scale = scale / np.sqrt(variance + norm.epsilon)
  kernel = np.moveaxis(kernel * scale, (3, 2), (0, 1))
  pads = [kernel.shape[2] // 2] * 4
  return graph.add(
      'Conv',
      x,
      np.asarray(kernel, np.float32),
      np.asarray(bias - mean * scale, np.float32),
      strides=[stride] * 2 if isinstance(stride, int) else stride,
      pads=pads,
  )


def _conv(graph, x, conv):
  """Adds a 1 x 1 convolution."""
  kernel = _pointwise(_kernel(conv)[0, 0].T)
  return graph.add('Conv', x, kernel, np.asarray(conv.bias[...], np.float32))


def _kernel(conv):
  return np.asarray(conv.kernel[...], float)


def _pointwise(matrix):
  """Returns the kernel of a 1 x 1 convolution."""
  return np.asarray(matrix, np.float32)[..., None, None]
