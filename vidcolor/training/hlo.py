"""Reads the text of a program that XLA has compiled (optimized HLO).

It needs no JAX. The text is what `jax.stages.Compiled.as_text` returns. The TPU
compiler writes into it how many cycles it expects each operation to take.
"""

import collections
from collections.abc import Iterator
import math
import re
from typing import NamedTuple

_COMPUTATION = re.compile(r'(ENTRY )?%?([\w.\-]+) .*\{$')
# Layouts hold parentheses too, but no name in front of them after a space.
_INSTRUCTION = re.compile(
    r'\s+(ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*)'
)
_CALLED = re.compile(
    r'(calls|to_apply|body|condition|branch_computations|true_computation'
    r'|false_computation)='
    r'(\{[^}]*\}|%?[\w.\-]+)'
)
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_ARRAY = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]')
_COLLECTIVE = re.compile(
    r'(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)'
    r'(-start)?'
)
# Operations that pass on the value of their operand.
_PASSES_ON = 'bitcast', 'convert', 'copy'
_ROW = re.compile(r'(\d+) (?:"(.*)"|\{(.*)\})')


class Operation(NamedTuple):
  """An operation of the schedule.

  Attributes:
    name: Its name in the program.
    opcode: What it does, such as 'fusion' or 'copy'.
    target: What a 'custom-call' calls; 'tpu_custom_call' for Pallas kernels.
    result: Types, shapes and layouts of its result.
    times: How often it runs.
    cycles: Estimated cycles of all its runs; None without an estimate.
    op_name: The calls in JAX that it comes from.
    source: Files and lines that it comes from, each before its caller.
  """

  name: str
  opcode: str
  target: str
  result: str
  times: int
  cycles: int | None
  op_name: str
  source: tuple[tuple[str, int], ...]


class Collective(NamedTuple):
  """All operations of one kind that exchange data between devices.

  Attributes:
    count: How often they run in total.
    bytes: Bytes of their results on one device, in total.
  """

  count: int
  bytes: int


class Program(NamedTuple):
  """What one run of a program does on one device.

  Attributes:
    operations: Operations in the order of the schedule, without those within
      fusions.
    collectives: Collectives by kind, such as 'all-reduce'.
    unknown_loops: Names of loops of unknown length. They count as one round.
  """

  operations: list[Operation]
  collectives: dict[str, Collective]
  unknown_loops: list[str]

  @property
  def cycles(self) -> int:
    """The estimated cycles of all operations; 0 without any estimate."""
    return sum(operation.cycles or 0 for operation in self.operations)


class _Instruction(NamedTuple):
  name: str
  result: str
  opcode: str
  rest: str  # Operands and attributes.
  is_root: bool

  @property
  def operands(self):
    return re.findall(r'%([\w.\-]+)', re.split(r'\), [a-z]', self.rest)[0])

  @property
  def called(self):
    """The names of called computations, by the attribute that names them."""
    return {
        attribute: re.findall(r'[\w.\-]+', names)
        for attribute, names in _CALLED.findall(self.rest)
    }


def parse_program(text: str) -> Program:
  """Reads the text of an optimized HLO module."""
  module = _Module(text)
  operations, unknown_loops = [], []
  counts, sizes = collections.Counter(), collections.Counter()
  seen = set()
  for instruction, times, is_scheduled in module.walk(unknown_loops):
    if is_scheduled:
      operations.append(module.operation(instruction, times))
    if match := _COLLECTIVE.fullmatch(instruction.opcode):
      # What overlaps with several fusions is written once in each of them.
      channel = re.search(r'channel_id=(\d+)', instruction.rest)
      key = channel[1] if channel else instruction.name
      if key not in seen:
        seen.add(key)
        counts[match[1]] += times
        sizes[match[1]] += times * _result_bytes(instruction, bool(match[2]))
  found = {kind: Collective(counts[kind], sizes[kind]) for kind in counts}
  return Program(operations, found, unknown_loops)


def _result_bytes(instruction, starts):
  arrays = [
      (math.prod(int(n) for n in shape.split(',') if n) * int(bits or 8)) // 8
      for _, bits, shape in _ARRAY.findall(instruction.result)
  ]
  # The result of a gather's start holds its operand too.
  if starts and instruction.opcode != 'all-reduce-start':
    return max(arrays, default=0)
  return sum(arrays)


class _Module:
  """The computations of a module, and the tables of its source lines."""

  def __init__(self, text):
    self._computations = {}
    self._tables = collections.defaultdict(dict)
    self._entry = None
    current, table = None, None
    for line in text.splitlines():
      line = re.sub(r'/\*.*?\*/', '', line)
      if match := _INSTRUCTION.match(line):
        root, name, result, opcode, rest = match.groups()
        if current is not None:
          current[name] = _Instruction(name, result, opcode, rest, bool(root))
      elif match := _COMPUTATION.match(line):
        current = self._computations[match[2]] = {}
        self._entry = match[2] if match[1] else self._entry
      elif match := _ROW.match(line):
        self._tables[table][int(match[1])] = match[2] or match[3]
      elif line and not line[0].isspace():
        table = line

  def walk(self, unknown_loops) -> Iterator[tuple[_Instruction, int, bool]]:
    """Yields instructions, how often they run, and if they are scheduled."""
    if self._entry is not None:
      yield from self._walk(self._entry, 1, True, unknown_loops)

  def _walk(self, computation, times, is_scheduled, unknown_loops):
    for instruction in self._computations[computation].values():
      yield instruction, times, is_scheduled
      inner, scheduled = times, is_scheduled
      if instruction.opcode == 'while':
        trips = self._trip_count(instruction, computation)
        if trips is None:
          unknown_loops.append(instruction.name)
        inner = times * (1 if trips is None else trips)
      elif instruction.opcode not in ('call', 'conditional'):
        scheduled = False
      computations = sum(instruction.called.values(), [])
      if instruction.opcode == 'conditional':  # One of them runs.
        computations = [max(computations, key=self._cycles)]
      for called in computations:
        yield from self._walk(called, inner, scheduled, unknown_loops)

  def _cycles(self, computation):
    found = self._walk(computation, 1, True, [])
    return sum(self.operation(x, times).cycles or 0 for x, times, _ in found)

  def _trip_count(self, loop, computation):
    """Returns how often a loop runs, or None if it is not known."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"', loop.rest)
    if known:
      return int(known[1])
    # JAX counts upwards by one: while (index < limit).
    condition = self._computations[loop.called['condition'][0]]
    root = next(x for x in condition.values() if x.is_root)
    if root.opcode != 'compare' or 'direction=LT' not in root.rest:
      return None
    values = []
    for operand in root.operands:
      value = self._constant(condition, operand)
      if value is None:
        value = self._first_value(loop, computation, condition[operand])
      values.append(value)
    start, limit = values
    return None if start is None or limit is None else max(limit - start, 0)

  def _first_value(self, loop, computation, element):
    """Returns the constant that an element of a loop's state starts with."""
    index = re.search(r'index=(\d+)', element.rest)
    caller = self._computations[computation]
    state = caller[loop.operands[0]]
    if element.opcode != 'get-tuple-element' or state.opcode != 'tuple':
      return None
    return self._constant(caller, state.operands[int(index[1])])

  def _constant(self, computation, name):
    """Returns the value of an instruction if it is a whole number."""
    instruction = computation[name]
    while instruction.opcode in _PASSES_ON:
      instruction = computation[instruction.operands[0]]
    value = re.match(r'(-?\d+)\)', instruction.rest)
    return int(value[1]) if instruction.opcode == 'constant' and value else None

  def operation(self, instruction, times) -> Operation:
    cycles = _CYCLES.search(instruction.rest)
    op_name = re.search(r'op_name="((?:[^"\\]|\\.)*)"', instruction.rest)
    target = re.search(r'custom_call_target="([^"]*)"', instruction.rest)
    return Operation(
        name=instruction.name,
        opcode=instruction.opcode,
        target=target[1] if target else '',
        result=instruction.result,
        times=times,
        cycles=times * int(cycles[1]) if cycles else None,
        op_name=op_name[1].replace('\\', '') if op_name else '',
        source=tuple(self._source(instruction)),
    )

  def _source(self, instruction):
    """Yields the files and lines that called, from the innermost outwards."""
    match = re.search(
        r'source_file="([^"]*)" source_line=(\d+)', instruction.rest
    )
    if match:
      yield match[1], int(match[2])
    frame = re.search(r'stack_frame_id=(\d+)', instruction.rest)
    frame_id = int(frame[1]) if frame else 0
    while row := self._tables['StackFrames'].get(frame_id):
      numbers = dict(re.findall(r'(\w+)=(\d+)', row))
      location = self._tables['FileLocations'][int(numbers['file_location_id'])]
      numbers |= dict(re.findall(r'(\w+)=(\d+)', location))
      yield (
          self._tables['FileNames'][int(numbers['file_name_id'])],
          int(numbers['line']),
      )
      # The text counts from 1 and writes the caller's number plus 1.
      frame_id = int(numbers['parent_frame_id']) - 1
