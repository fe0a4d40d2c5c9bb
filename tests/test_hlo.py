# ruff: noqa: E501
"""A program that is written by hand, as the TPU compiler writes them."""

import pytest

from vidcolor.training import hlo

_PROGRAM = r"""HloModule jit_f, is_scheduled=true

FileNames
1 "/home/me/net.py"
2 "/lib/flax.py"

FunctionNames
1 "net"

FileLocations
1 {file_name_id=1 function_name_id=1 line=7 end_line=7 column=1 end_column=2}
2 {file_name_id=2 function_name_id=1 line=90 end_line=90 column=1 end_column=2}

StackFrames
1 {file_location_id=1 parent_frame_id=1}
2 {file_location_id=2 parent_frame_id=2}


%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[]{:T(128)} parameter(0)
  %b = f32[]{:T(128)} parameter(1)
  ROOT %sum = f32[]{:T(128)} add(%a, %b)
}

%overlapped (p: bf16[8,4]) -> bf16[8,64] {
  %p = bf16[8,4]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %gather.1 = bf16[8,64]{1,0:T(8,128)(2,1)} all-gather(%p), channel_id=5, dimensions={1}
}

%inner_body (t: (s32[], f32[8])) -> (s32[], f32[8]) {
  %t = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %i = s32[]{:T(128)} get-tuple-element(%t), index=0
  %x = f32[8]{0:T(128)S(1)} get-tuple-element(%t), index=1
  %y = f32[8]{0:T(128)S(1)} fusion(%x), kind=kLoop, calls=%add, metadata={op_name="jit(f)/mul" stack_frame_id=1}, backend_config={"window_config":{"estimated_cycles":"100","x":0}}
  ROOT %r = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) tuple(%i, %y)
}

%inner_condition (u: (s32[], f32[8])) -> pred[] {
  %u = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) parameter(0)
  %n = s32[]{:T(128)} constant(5)
  %j = s32[]{:T(128)} get-tuple-element(%u), index=0
  ROOT %lt = pred[]{:T(512)} compare(%j, %n), direction=LT
}

%outer_body (v: (s32[], f32[8], s32[])) -> (s32[], f32[8], s32[]) {
  %v = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}, s32[]) parameter(0)
  %k = s32[]{:T(128)} get-tuple-element(%v), index=0
  %z = f32[8]{0:T(128)S(1)} get-tuple-element(%v), index=1
  %limit = s32[] get-tuple-element(%v), index=2
  %two = s32[]{:T(128)} constant(2)
  %copied = s32[]{:T(128)} copy(%two)
  %start = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) tuple(%copied, %z)
  %loop = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}) while(%start), condition=%inner_condition, body=%inner_body
  %w = f32[8]{0:T(128)S(1)} get-tuple-element(%loop), index=1
  %reduced = (f32[8]{0:T(128)S(1)}, bf16[3]{0}) all-reduce(%w, %w), channel_id=1, to_apply=%add
  ROOT %out = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}, s32[]) tuple(%k, %w, %limit)
}

%outer_condition (q: (s32[], f32[8], s32[])) -> pred[] {
  %q = (s32[]{:T(128)}, f32[8]{0:T(128)S(1)}, s32[]) parameter(0)
  %l = s32[]{:T(128)} get-tuple-element(%q), index=0
  %m = s32[]{:T(128)} get-tuple-element(%q), index=2
  ROOT %less = pred[]{:T(512)} compare(%l, %m), direction=LT
}

ENTRY %main (arg: f32[8], /*index=1*/given: s32[]) -> f32[8] {
  %arg = f32[8]{0:T(128)} parameter(0), metadata={op_name="params[\'a\']"}
  %given = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %four = s32[]{:T(128)} constant(4)
  %first = (s32[]{:T(128)}, f32[8]{0:T(128)}, /*index=2*/s32[]) tuple(%zero, %arg, %four)
  %outer = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]) while(%first), condition=%outer_condition, body=%outer_body
  %b1 = bf16[8,64]{1,0:T(8,128)(2,1)} fusion(%arg), kind=kCustom, calls=%overlapped, backend_config={"window_config":{"estimated_cycles":"30"}}
  %b2 = bf16[8,64]{1,0:T(8,128)(2,1)} fusion(%arg), kind=kCustom, calls=%overlapped
  %second = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]) tuple(%given, %arg, %four)
  %open = (s32[]{:T(128)}, f32[8]{0:T(128)}, s32[]) while(%second), condition=%outer_condition, body=%inner_body
  %kernel = f32[8]{0:T(128)} custom-call(%arg), custom_call_target="tpu_custom_call"
  ROOT %end = f32[8]{0:T(128)} copy(%kernel), metadata={op_name="jit(f)/params[\'a\']" stack_frame_id=2}, backend_config={"estimated_cycles":"7"}
}
"""


def _operations():
  return {x.name: x for x in hlo.parse_program(_PROGRAM).operations}


def test_a_loop_in_a_loop_counts_all_its_rounds():
  # From 2 to 5 and from 0 to 4, and once in a loop of unknown length.
  times = [
      x.times for x in hlo.parse_program(_PROGRAM).operations if x.name == 'y'
  ]
  assert times == [12, 1]
  assert hlo.parse_program(_PROGRAM).cycles == 13 * 100 + 30 + 7


def test_a_loop_of_unknown_length_is_named():
  assert hlo.parse_program(_PROGRAM).unknown_loops == ['open']
  known = _PROGRAM.replace(
      'while(%second),',
      'while(%second), backend_config={"known_trip_count":{"n":"9"}},',
  )
  assert not hlo.parse_program(known).unknown_loops
  assert hlo.parse_program(known).cycles == 21 * 100 + 30 + 7


@pytest.mark.parametrize(
    'branches',
    [
        'branch_computations={%add, %inner_body, %overlapped}',
        'true_computation=%add, false_computation=%inner_body',
    ],
)
def test_the_dearest_branch_counts(branches):
  text = _PROGRAM.replace(
      '  ROOT %end =',
      f'  %either = f32[8] conditional(%arg), {branches}\n  ROOT %end =',
  )
  assert hlo.parse_program(text).cycles == 14 * 100 + 30 + 7


def test_collectives_are_counted_by_kind():
  assert hlo.parse_program(_PROGRAM).collectives == {
      'all-reduce': hlo.Collective(4, 4 * (8 * 4 + 3 * 2)),
      # It is written in two fusions that it overlaps with.
      'all-gather': hlo.Collective(1, 8 * 64 * 2),
  }


@pytest.mark.parametrize(
    ('line', 'size'),
    [
        ('f32[16]{0} all-reduce-start(%arg)', 64),
        ('(f32[2]{0}, f32[16]{0}) all-gather-start(%arg)', 64),
    ],
)
def test_bytes_of_collectives_that_start(line, size):
  text = f'ENTRY %main (arg: f32[2]) -> f32[16] {{\n  %x = {line}, channel_id=1'
  (found,) = hlo.parse_program(text).collectives.values()
  assert found == hlo.Collective(1, size)


def test_where_an_operation_comes_from():
  operations = _operations()
  assert operations['y'].source == (('/home/me/net.py', 7),)
  end = operations['end']
  assert end.source == (('/lib/flax.py', 90), ('/home/me/net.py', 7))
  assert end.op_name == "jit(f)/params['a']"
  assert (end.opcode, end.result, end.cycles) == ('copy', 'f32[8]{0:T(128)}', 7)


def test_a_kernel_has_no_estimate():
  kernel = _operations()['kernel']
  assert (kernel.target, kernel.cycles) == ('tpu_custom_call', None)


def test_what_is_within_a_fusion_is_not_scheduled():
  assert not {'sum', 'gather.1'} & set(_operations())
