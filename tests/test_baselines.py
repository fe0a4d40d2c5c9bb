import numpy as np
import pytest

from vidcolor.data import synthetic
from vidcolor.evaluation import baselines
from vidcolor.evaluation import davis


@pytest.fixture(name='clip', scope='module')
def fixture_clip():
  return synthetic.render_clip(11, num_frames=10, height=96, width=128)


def _mean_jaccard(tracker, clip):
  tracked = list(tracker(clip.frames, clip.masks[0]))
  scores = davis.score(tracked, clip.masks, int(clip.masks[0].max()))
  return scores.j[:, 1:-1].mean()


@pytest.mark.parametrize(
    'tracker', [baselines.identity, baselines.optical_flow]
)
def test_yields_a_mask_per_frame_as_frames_come(clip, tracker):
  masks = tracker(iter(clip.frames), clip.masks[0])
  np.testing.assert_array_equal(next(masks), clip.masks[0])
  rest = list(masks)
  assert len(rest) == 9
  assert set(np.unique(rest)) <= set(np.unique(clip.masks[0]))


def test_identity_copies_the_first_mask(clip):
  *_, last = baselines.identity(clip.frames, clip.masks[0])
  np.testing.assert_array_equal(last, clip.masks[0])


def test_optical_flow_follows_the_objects(clip):
  followed = _mean_jaccard(baselines.optical_flow, clip)
  assert followed > 0.8
  assert followed > _mean_jaccard(baselines.identity, clip) + 0.1


def test_optical_flow_without_objects_finds_none(clip):
  nothing = np.zeros_like(clip.masks[0])
  assert not np.any(list(baselines.optical_flow(clip.frames, nothing)))
