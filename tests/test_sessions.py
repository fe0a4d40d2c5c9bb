import functools

import numpy as np
import pytest

from vidcolor import errors
from vidcolor import prompts
from vidcolor import prompts_over_time
from vidcolor import sessions
from vidcolor import video_tracker
from vidcolor.tracking import baselines
from vidcolor.tracking import propagation

SIDE, CELL, STEP = 96, 4, 4


def _embed(frame):
  """Embeds a cell by its pixels: only cells of the same texture match."""
  cells = (np.asarray(frame, np.float32) - 128).reshape(
      SIDE // CELL, CELL, SIDE // CELL, CELL, 3
  )
  return cells.swapaxes(1, 2).reshape(SIDE // CELL, SIDE // CELL, -1)


@functools.cache  # Compiles once for all tests.
def _tracker(**changes):
  options = {'temperature': 0.01, 'top_k': 1, 'radius': None}
  options = propagation.PropagationOptions(
      **options | {'unit_length': True} | changes
  )
  return video_tracker.VideoTracker(
      propagation.LabelPropagator(_embed, options)
  )


def _video(num_frames=7, change=None):
  """Two textured squares, which are 1 and 2, move right; their masks.

  From frame `change` on, both have other textures, so that they are lost.
  """
  rng = np.random.default_rng(0)
  texture = lambda: rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
  ground, old, new = texture(), texture(), texture()
  video, masks = [], []
  for t in range(num_frames):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    x = 8 + STEP * t
    mask[8:32, x : x + 24], mask[48:80, x : x + 32] = 1, 2
    squares = np.roll(old if t < (change or 99) else new, STEP * t, axis=1)
    video.append(np.where(mask[..., None] > 0, squares, ground))
    masks.append(mask)
  return np.stack(video), np.stack(masks)


def _recall(mask, truth, number):
  return (mask == number)[truth == number].mean()


def _rest(session, frames):
  return [session.step(frame) for frame in frames]


def _assert_close(mask, truth):
  assert (mask != truth).mean() < 0.03  # Corners are rounded.


def test_steps_find_what_tracking_the_whole_video_finds():
  video, masks = _video()
  tracker = _tracker()
  session = tracker.start(video[0], masks=masks[0])
  stepped = [session.found, *_rest(session, video[1:])]
  result = tracker.track(video, masks=masks[0])
  collected = video_tracker.collect(stepped)
  for one, other in zip(collected, result, strict=True):
    np.testing.assert_array_equal(one, other)
  assert [found.frame for found in stepped] == list(range(7))


def test_points_and_baselines_step_too():
  video, masks = _video()
  tracker = _tracker()
  session = tracker.start(video[0], points=[[17.5, 17.5]])
  stepped = video_tracker.collect([session.found, *_rest(session, video[1:])])
  result = tracker.track(video, points=[[17.5, 17.5]])
  np.testing.assert_array_equal(stepped.position, result.position)
  session = video_tracker.VideoTracker(baselines.Identity()).start(
      video[0], masks=masks[0]
  )
  np.testing.assert_array_equal(session.step(video[1]).mask, masks[0])
  with pytest.raises(errors.UserError, match='lacks the methods of tracking.S'):
    session.correct(mask=masks[1] == 1, number=1)


def test_a_correction_finds_a_lost_object_and_leaves_the_others():
  video, masks = _video(change=3)
  plain = _tracker().start(video[0], masks=masks[0])
  fixed = _tracker().start(video[0], masks=masks[0])
  for frame in video[1:4]:
    plain.step(frame), fixed.step(frame)
  assert _recall(fixed.found.mask, masks[3], 1) < 0.5
  found = fixed.correct(mask=masks[3] == 1, number=1)
  np.testing.assert_array_equal(found.mask == 1, masks[3] == 1)
  assert found.confidence[0] == 1 and found.frame == 3
  np.testing.assert_array_equal(found.numbers, [1, 2])
  for frame, truth in zip(video[4:], masks[4:], strict=True):
    found, before = fixed.step(frame), plain.step(frame)
    assert _recall(found.mask, truth, 1) > 0.9
    assert _recall(before.mask, truth, 1) < 0.5
  # All that object 2 is found by.
  left, before = (x._objects._groups[0].state for x in (fixed, plain))
  for array, other in zip(left, before, strict=True):
    np.testing.assert_array_equal(array, other)


@pytest.mark.slow
def test_a_corrected_frame_stays_a_reference():
  """What only the corrected frame shows is found after a long time."""
  rng = np.random.default_rng(0)
  texture = lambda *size: rng.integers(0, 256, (*size, 3), np.uint8)
  ground, front, back = texture(SIDE, SIDE), texture(24, 24), texture(24, 24)

  def show(side):
    frame = ground.copy()
    if side is not None:
      frame[32:56, 32:56] = side
    return frame

  square = np.zeros((SIDE, SIDE), np.uint8)
  square[32:56, 32:56] = 1
  session = _tracker(recent=2).start(show(front), masks=square)
  assert not session.step(show(back)).mask.any()
  session.correct(mask=square)
  for _ in range(5):
    hidden = session.step(show(None))
  assert not hidden.visible[0]
  _assert_close(session.step(show(back)).mask, square)
  _assert_close(session.step(show(front)).mask, square)


@pytest.mark.filterwarnings('ignore:the box .* was taken whole')
def test_an_object_that_is_added_is_not_the_background_of_frames_before():
  video, masks = _video()
  session = _tracker().start(video[0], masks=masks[0] == 2)
  session.step(video[1])
  found = session.add(masks=masks[1] == 1)
  np.testing.assert_array_equal(found.numbers, [1, 2])
  for frame, truth in zip(video[2:], masks[2:], strict=True):
    swapped = np.array([0, 2, 1])[session.step(frame).mask]
    _assert_close(swapped, truth)
  np.testing.assert_array_equal(
      session.add(boxes=[[1, 84, 9, 92]]).numbers[-1], 3
  )
  found = session.add(masks=np.eye(SIDE, dtype=bool)[::-1], numbers=[9])
  np.testing.assert_array_equal(found.numbers, [1, 2, 3, 9])


def test_the_object_given_last_is_in_front():
  video, masks = _video(3)
  session = _tracker().start(video[0], masks=masks[0] > 0)
  found = session.add(masks=masks[0] == 1)  # A part of the first object.
  np.testing.assert_array_equal(found.mask, np.array([0, 2, 1])[masks[0]])
  _assert_close(session.step(video[1]).mask, np.array([0, 2, 1])[masks[1]])
  # Correcting the other one takes it back.
  session.correct(mask=masks[1] > 0, number=1)
  assert not (session.step(video[2]).mask == 2)[masks[2] > 0].any()


def test_all_objects_of_a_frame_can_be_given_anew():
  video, masks = _video(change=1)
  session = _tracker().start(video[0], masks=masks[0])
  session.step(video[1])
  session.give({number: masks[1] == number for number in (1, 2)})
  found = session.step(video[2])
  assert min(_recall(found.mask, masks[2], n) for n in (1, 2)) > 0.9


@pytest.mark.slow
def test_memory_and_programs_do_not_grow_with_corrections():
  video, masks = _video(12)
  session = _tracker(recent=2).propagator.start_objects(video[0], masks[0])
  sizes = []
  for frame, mask in zip(video[1:], masks[1:], strict=True):
    session.step(frame)
    session.give({1: mask == 1})
    sizes.append(sum(len(group.state.valid) for group in session._groups))
    assert len(session._groups) == 2
  # Both groups have the first frame and two recent ones, the corrected object
  # also three corrected frames.
  assert sizes == [3 + 4, 3 + 5] + 9 * [3 + 6]
  kept = session._groups[-1].kept_frames
  assert kept == (1, 10, 11, 12)  # The first one and the newest.


@pytest.mark.slow
@pytest.mark.parametrize(
    'changes', [{'keep_first': False}, {'repeat_first': True}, {'recent': 0}]
)
def test_other_memories_take_corrections(changes):
  video, masks = _video(4, change=1)
  session = _tracker(**changes).start(video[0], masks=masks[0])
  session.step(video[1])
  session.correct(mask=masks[1] == 2, number=2)
  for frame, truth in zip(video[2:], masks[2:], strict=True):
    assert _recall(session.step(frame).mask, truth, 2) > 0.8


@pytest.mark.parametrize(
    ('correct', 'message'),
    [
        (lambda s: s.correct(number=1), 'give one of mask, box and clicks'),
        (
            lambda s: s.correct(
                mask=np.ones((96, 96)), box=[1, 1, 9, 9], number=1
            ),
            'give only one of',
        ),
        (lambda s: s.correct(mask=np.ones((9, 9)), number=1), 'mask is 9 x 9'),
        (lambda s: s.correct(mask=np.zeros((96, 96)), number=1), 'no object'),
        (lambda s: s.correct(box=[1, 1, 9, 9]), 'no object None: give number'),
        (lambda s: s.correct(box=[1, 1, 9, 9], number=3), 'one of 1, 2'),
        (lambda s: s.correct(clicks=[], number=1), 'at least one'),
        (lambda s: s.correct(clicks=[[1, 1, 2]], number=1), 'x, y and 1'),
        (lambda s: s.correct(clicks=[[99, 1, 1]], number=1), 'is outside'),
        (lambda s: s.add(masks=np.ones((96, 96)), numbers=[2]), '2 already'),
        (lambda s: s.add(masks=np.ones((96, 96)), numbers=[255]), '1 to 254'),
        (
            lambda s: s.add(boxes=[[1, 1, 9, 9]], numbers=[3, 4]),
            '1 objects and 2',
        ),
        (
            lambda s: s.step(np.zeros((9, 9, 3), np.uint8)),
            '9 x 9, but the first',
        ),
        (lambda s: s.step(np.zeros((96, 96, 3))), 'float64'),
    ],
)
@pytest.mark.filterwarnings('ignore:the box .* was taken whole')
def test_what_is_wrong_is_one_line_and_the_session_goes_on(correct, message):
  video, masks = _video(3)
  session = _tracker().start(video[0], masks=masks[0])
  before = session.step(video[1])
  with pytest.raises(errors.UserError, match=message) as raised:
    correct(session)
  assert '\n' not in str(raised.value)
  np.testing.assert_array_equal(session.found.mask, before.mask)
  _assert_close(session.step(video[2]).mask, masks[2])


def test_points_cannot_be_corrected():
  video, _ = _video(2)
  session = _tracker().start(video[0], points=[[5, 5]])
  with pytest.raises(errors.UserError, match='points cannot be corrected'):
    session.add(masks=np.ones((SIDE, SIDE), bool))


def test_a_tracker_that_reads_ahead_needs_the_whole_video():
  class Ahead:

    def track(self, frames, first_mask):
      return iter([first_mask for _ in list(frames)])

  video, masks = _video(3)
  tracker = video_tracker.VideoTracker(Ahead())
  assert len(tracker.track(video, masks=masks[0]).masks) == 3
  session = tracker.start(video[0], masks=masks[0])
  with pytest.raises(errors.UserError, match='reads frames ahead'):
    session.step(video[1])


def _over_time(prompts_by_frame):
  return prompts_over_time.PromptsOverTime(
      'prompts', {n: lambda one=one: one for n, one in prompts_by_frame.items()}
  )


def test_prompts_over_time_begin_and_correct_objects():
  video, masks = _video(change=4)
  mask_of = lambda t, number: prompts.MaskPrompt(masks[t] == number)
  given = _over_time(
      {
          1: {1: mask_of(1, 1)},
          3: {2: mask_of(3, 2)},
          4: {1: mask_of(4, 1), 2: mask_of(4, 2)},
      }
  )
  found = list(_tracker().stream(video, given))
  assert [one.frame for one in found] == [1, 2, 3, 4, 5, 6, 0]
  result = video_tracker.collect(found)
  np.testing.assert_array_equal(result.numbers, [1, 2])
  np.testing.assert_array_equal(result.begins, [0, 3])
  assert not result.visible[:3, 1].any() and result.visible[3:, 1].all()
  assert np.isnan(result.position[:3, 1]).all()
  assert not result.confidence[:3, 1].any()
  for number, start in ((1, 0), (2, 3)):
    for t in range(start, 7):
      assert _recall(result.masks[t], masks[t], number) > 0.8


def test_clicks_beside_a_lost_object_change_nothing():
  video, masks = _video()
  # Each cell is found in the first frame's background.
  video[3:] = np.tile(video[0, 84:88, 84:88], (SIDE // 4, SIDE // 4, 1))
  given = {0: {1: prompts.MaskPrompt(masks[0] == 1)}}
  click = {5: {1: prompts.Clicks([[20, 20, 0]], 'the click')}}
  with pytest.warns(match='the click: nothing is left of the object'):
    found = list(_tracker().stream(video, _over_time(given | click)))
  assert len(found) == 7 and not found[-1].visible.any()


@pytest.mark.filterwarnings('ignore:.*taken whole')
def test_clicks_correct_what_is_found_in_their_box():
  video, masks = _video()
  locate = lambda prompt, before=None: sessions.locate_object(
      _tracker().propagator, video[0], prompt, masks[0].shape, before
  )
  box, clicks = prompts.BoxPrompt([(6, 6, 34, 34)]), [(10, 10, 0), (60, 60, 1)]
  in_box = locate(box)
  found = locate(prompts.Clicks(clicks, box=box))
  np.testing.assert_array_equal(found, locate(prompts.Clicks(clicks), in_box))
  assert in_box[10, 10] and not found[10, 10] and found[60, 60]
  with pytest.raises(errors.UserError, match='the box .* is outside'):
    locate(prompts.Clicks(clicks, box=prompts.BoxPrompt([(200, 6, 234, 34)])))


def test_prompts_of_one_frame_are_as_a_mask():
  video, masks = _video()
  given = _over_time(
      {2: {n: prompts.MaskPrompt(masks[2] == n) for n in (1, 2)}}
  )
  result = video_tracker.collect(_tracker().stream(video, given))
  expected = _tracker().track(video, masks=masks[2], query_frame=2)
  for one, other in zip(result, expected, strict=True):
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (
            {0: np.ones((96, 96)), 7: np.ones((96, 96))},
            'no frame 7: .* 7 frames',
        ),
        ({0: np.ones((96, 96)), 3: np.ones((9, 9))}, 'is 9 x 9 and the frame'),
    ],
)
def test_wrong_prompts_over_time_are_one_line_at_once(given, message):
  video, _ = _video()
  given = {n: {1: prompts.MaskPrompt(mask)} for n, mask in given.items()}
  with pytest.raises(errors.UserError, match=message):
    next(_tracker().stream(video, _over_time(given)))


def test_a_baseline_refuses_later_prompts_at_once():
  video, masks = _video()
  given = {n: {1: prompts.MaskPrompt(masks[n] == 1)} for n in (0, 2)}
  tracker = video_tracker.VideoTracker(baselines.Identity())
  with pytest.raises(errors.UserError, match='cannot track corrected objects'):
    next(tracker.stream(video, _over_time(given)))
