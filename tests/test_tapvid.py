import io
import json
import os
import pickle

import numpy as np
from PIL import Image
import pytest

from tests import leftovers
from vidcolor import errors
from vidcolor import tracking
from vidcolor.benchmarks import tapvid
from vidcolor.benchmarks.tapvid import data as tapvid_data
from vidcolor.benchmarks.tapvid import metrics as tapvid_metrics
from vidcolor.video import decoding


def _example(time=4, size=(12, 16)):
  rng = np.random.default_rng(time)
  return {
      'video': rng.integers(0, 256, (time, *size, 3), np.uint8),
      'points': rng.uniform(0, 1, (3, time, 2)).astype(np.float32),
      'occluded': rng.uniform(size=(3, time)) < 0.4,
  }


def _write(path, content, protocol=4):
  path.write_bytes(pickle.dumps(content, protocol))
  return path


def _jpeg(frame):
  file = io.BytesIO()
  Image.fromarray(frame).save(file, 'JPEG', quality=95)
  return file.getvalue()


@pytest.mark.parametrize('protocol', [3, 4, 5])
def test_reads_davis(tmp_path, protocol):
  example = _example()
  example['points'][0, 0] = 0, 1  # The lower left corner of the frame.
  path = _write(tmp_path / 'tapvid_davis.pkl', {'goat': example}, protocol)
  (goat,) = tapvid_data.read_pickle(path, size=(12, 16))
  assert goat.name == 'goat' and goat.size == (12, 16)
  np.testing.assert_array_equal(goat.frames, example['video'])
  assert goat.frame_names == ['00000', '00001', '00002', '00003']
  np.testing.assert_array_equal(goat.points[0, 0], [-0.5, 11.5])
  np.testing.assert_array_equal(goat.occluded, example['occluded'])


def test_resizes_frames_and_points_alike(tmp_path):
  video = np.zeros((1, 40, 80, 3), np.uint8)
  video[0, 20:30, 60:80] = 255  # Its middle lies at (70, 25) from the corner.
  points = np.float32([[[70 / 80, 25 / 40]]])
  example = {'video': video, 'points': points, 'occluded': [[False]]}
  path = _write(tmp_path / 'a.pkl', [example])
  (sequence,) = tapvid_data.read_pickle(path, size=(256, 256))
  frame = sequence.frames[0, ..., 0] / 255.0
  y, x = np.mgrid[:256, :256]
  middle = [np.average(x, weights=frame), np.average(y, weights=frame)]
  np.testing.assert_allclose(sequence.points[0, 0], middle, atol=0.05)
  # Lanczos, as in the published evaluation, and no other filter.
  expected = Image.fromarray(video[0]).resize(
      (256, 256), Image.Resampling.LANCZOS
  )
  np.testing.assert_array_equal(sequence.frames[0], expected)


@pytest.mark.parametrize('container', [list, np.array])
def test_reads_the_jpeg_files_of_kinetics(tmp_path, container):
  frames = np.full((2, 24, 32, 3), (200, 100, 20), np.uint8)
  video = container([_jpeg(frame) for frame in frames])
  shard = [_example(2) | {'video': video}, _example(2)]
  _write(tmp_path / '0001_of_0002.pkl', [])
  _write(tmp_path / '0000_of_0002.pkl', shard)
  paths = tapvid_data.find(tmp_path)
  assert [path.name[:4] for path in paths] == ['0000', '0001']
  first, second = tapvid_data.read_pickle(paths[0], size=(24, 32))
  assert [first.name, second.name] == ['0000_of_0002_000', '0000_of_0002_001']
  assert np.abs(first.frames[1] - np.array([200.0, 100, 20])).max() < 4
  assert tapvid_data.read_pickle(paths[1]) == []


def test_reads_arrays_that_older_numpy_pickled(tmp_path):
  data = pickle.dumps([_example()], 2 + 1)
  assert b'numpy._core' in data
  path = tmp_path / 'tapvid_rgb_stacking.pkl'
  path.write_bytes(data.replace(b'numpy._core', b'numpy.core'))
  assert tapvid_data.read_pickle(path)[0].name == 'tapvid_rgb_stacking_000'


class _Malicious:

  def __init__(self, *call):
    self._call = call

  def __reduce__(self):
    return self._call


@pytest.mark.parametrize('protocol', [0, 4])
def test_refuses_to_run_what_a_pickle_holds(tmp_path, protocol):
  trap = tmp_path / 'trap'
  for call in (
      (os.mkdir, (str(trap),)),
      (eval, ('1',)),
      (getattr, ('a', 'upper')),
      (np.load, ('file',)),
  ):
    path = _write(tmp_path / 'a.pkl', [_Malicious(*call)], protocol)
    with pytest.raises(errors.UserError, match='a.pkl .*asks for') as error:
      tapvid_data.read_pickle(path)
    assert '\n' not in str(error.value)
  assert not trap.exists()


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'no pickle',
        pickle.dumps([_example()])[:500],
        pickle.dumps(17),
        pickle.dumps({'../goat': _example()}),
        pickle.dumps([17]),
        pickle.dumps([{'video': []}]),
        pickle.dumps([_example() | {'video': [b'no picture'] * 4}]),
        pickle.dumps([_example() | {'video': np.zeros((4, 8, 8, 3))}]),
        pickle.dumps([_example() | {'video': [[0, 0, 0]] * 4}]),
        pickle.dumps([_example(0)]),
        pickle.dumps([_example() | {'video': _example(5)['video']}]),
        pickle.dumps([_example() | {'occluded': [[True] * 4] * 2}]),
    ],
)
def test_says_which_file_is_no_tapvid(tmp_path, content):
  path = tmp_path / 'tapvid_davis.pkl'
  path.write_bytes(content)
  with pytest.raises(errors.UserError, match='tapvid_davis.pkl'):
    tapvid_data.read_pickle(path)


def test_says_which_videos_frame_is_cut_short(tmp_path):
  jpeg = _jpeg(np.full((24, 32, 3), 99, np.uint8))
  video = [jpeg, jpeg[: len(jpeg) // 2]]
  path = _write(tmp_path / 'a.pkl', [_example(2) | {'video': video}])
  (sequence,) = tapvid_data.read_pickle(path)
  with pytest.raises(errors.UserError, match='a_000'):
    _ = sequence.frames


def test_finds_a_folders_pickles_or_says_that_there_is_none(tmp_path):
  with pytest.raises(errors.UserError, match='tapvid_davis.pkl'):
    tapvid_data.find(tmp_path)
  with pytest.raises(errors.UserError, match='missing.pkl'):
    tapvid_data.find(tmp_path / 'missing.pkl')
  path = _write(tmp_path / 'a.pkl', [])
  assert tapvid_data.find(tmp_path) == tapvid_data.find(path) == [path]


def test_what_macos_and_jupyter_leave_behind_is_ignored(tmp_path):
  path = _write(tmp_path / 'a.pkl', [])
  leftovers.leave_in_all_folders(tmp_path)
  assert tapvid_data.find(tmp_path) == [path]


@pytest.mark.parametrize('name', ['robotap_split{}', '{:04}_of_0005'])
def test_shards_are_one_benchmark(tmp_path, name):
  paths = [_write(tmp_path / f'{name.format(i)}.pkl', []) for i in range(5)]
  assert tapvid_data.find(tmp_path) == paths


@pytest.mark.parametrize(
    'other', ['b.pkl', 'robotap_split0.pkl', '0000_of_0002.pkl']
)
def test_refuses_a_folder_of_more_than_one_benchmark(tmp_path, other):
  path = _write(tmp_path / 'a.pkl', [])
  _write(tmp_path / other, [])
  with pytest.raises(
      errors.UserError, match=f'more than one .*: give .*{path}'
  ):
    tapvid_data.find(tmp_path)


OCCLUDED = np.array(
    [
        [1, 0, 0, 1, 0, 0, 0],  # First seen in frame 1; in frame 5 too.
        [1, 1, 1, 1, 1, 1, 1],  # Never seen.
        [0, 1, 1, 1, 1, 1, 0],
    ],
    bool,
)


def test_queries_where_points_are_first_seen():
  track, frame = tapvid_metrics.sample_queries(OCCLUDED, 'first')
  assert track.tolist() == [0, 2] and frame.tolist() == [1, 0]


def test_queries_every_fifth_frame_in_which_points_are_seen():
  track, frame = tapvid_metrics.sample_queries(OCCLUDED, 'strided')
  assert track.tolist() == [2, 0] and frame.tolist() == [0, 5]


def test_refuses_an_unknown_query_mode():
  with pytest.raises(ValueError, match="query_mode is 'second', not one of"):
    tapvid_metrics.sample_queries(OCCLUDED, 'second')
  with pytest.raises(ValueError, match="query_mode is 'second', not one of"):
    _metrics('second')


# One track, queried in frame 1: 3 pixels off in frame 0, exact in 2, hidden in
# 3, half a pixel off but said to be hidden in 4, 16 off in 5.
TRUE_POINTS = np.full((1, 6, 2), 100.0)
ERRORS = np.array([[[0, 3], [90, 0], [0, 0], [0, 0], [0.5, 0], [16, 0]]])
HIDDEN = np.array([[0, 0, 0, 1, 0, 0]], bool)
SAID_SEEN = np.array([[1, 0, 1, 1, 0, 1]], bool)


def _metrics(mode):
  return tapvid_metrics.compute_metrics(
      np.array([1]), TRUE_POINTS, HIDDEN, TRUE_POINTS + ERRORS, SAID_SEEN, mode
  )


def test_queried_first_scores_what_comes_after():
  metrics = _metrics('first')
  # Frames 2 and 5 are told rightly, 3 and 4 are not.
  assert metrics['occlusion_accuracy'] == 1 / 2
  # Of 2, 4 and 5; 16 pixels are not less than 16.
  assert [metrics[f'pts_within_{n}'] for n in tapvid_metrics.THRESHOLDS] == [
      2 / 3
  ] * 5
  assert metrics['average_pts_within_thresh'] == pytest.approx(2 / 3)
  # Frame 2 of the three seen and the false positives 3 and 5.
  assert [metrics[f'jaccard_{n}'] for n in tapvid_metrics.THRESHOLDS] == [
      1 / 5
  ] * 5
  assert metrics['average_jaccard'] == pytest.approx(1 / 5)


def test_queried_strided_scores_what_comes_before_too():
  metrics = _metrics('strided')
  assert metrics['occlusion_accuracy'] == 3 / 5
  within = [2 / 4, 2 / 4, 3 / 4, 3 / 4, 3 / 4]
  assert [
      metrics[f'pts_within_{n}'] for n in tapvid_metrics.THRESHOLDS
  ] == within
  assert metrics['average_pts_within_thresh'] == pytest.approx(13 / 20)
  jaccard = [1 / 7, 1 / 7, 2 / 6, 2 / 6, 2 / 6]
  assert [metrics[f'jaccard_{n}'] for n in tapvid_metrics.THRESHOLDS] == jaccard
  assert metrics['average_jaccard'] == pytest.approx(np.mean(jaccard))


def test_nothing_to_score_is_not_a_number():
  metrics = tapvid_metrics.compute_metrics(
      np.array([5]), TRUE_POINTS, HIDDEN, TRUE_POINTS, SAID_SEEN, 'first'
  )
  assert np.isnan(list(metrics.values())).all()


class _Tracker:
  """Takes points to move by two pixels a frame, and to hide in the third."""

  def __init__(self):
    self.asked = []

  def track_points(self, frames, points):
    self.asked.append((len(frames), frames[0][0, 0, 0], len(points)))
    for t in range(len(frames)):
      yield tracking.TrackedPoints(
          points + [2 * t, 0], np.full(len(points), 0.7**t)
      )


@pytest.fixture
def data_dir(tmp_path):
  """Two videos of six frames; in the second one nothing is ever seen again."""
  video = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones(
      (1, 64, 64, 3), np.uint8
  )
  still = np.full((3, 6, 2), 0.5, np.float32)
  moving = still + np.float32([[[2 / 256 * t, 0] for t in range(6)]])
  hidden = np.array([[0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 1], [1] * 6], bool)
  once = np.array([[0] + [1] * 5, [1] * 5 + [0], [1] * 6], bool)
  root = tmp_path / 'data'
  root.mkdir()
  _write(
      root / 'tapvid_davis.pkl',
      {
          'goat': {'video': video, 'points': moving, 'occluded': hidden},
          'yak': {'video': video, 'points': still, 'occluded': once},
      },
  )
  return root


def test_tracks_forward_from_each_frame_with_queries(tmp_path, data_dir):
  tracker = _Tracker()
  results = tapvid.evaluate(tracker, data_dir, tmp_path)
  sections = tapvid.sections(results, tmp_path)
  # Frames left, brightness of the first one, points.
  assert tracker.asked == [(6, 0, 1), (5, 1, 1), (6, 0, 1), (1, 5, 1)]
  assert list(results['per_sequence']) == ['goat']
  assert results['overall'] == results['per_sequence']['goat']
  assert results['overall']['average_pts_within_thresh'] == 1
  # Of the first point's five frames one is told wrongly, of the second's four
  # two: both are said to be hidden too soon.
  assert results['overall']['occlusion_accuracy'] == pytest.approx(6 / 9)
  assert results['overall']['average_jaccard'] == pytest.approx(2 / 5)
  json.dumps(results, allow_nan=False)
  for media in sections[0].media:
    film = list(decoding.read_frames(tmp_path / media.file))
    assert len(film) == 6


def test_predictions_are_what_the_published_metrics_take(tmp_path, data_dir):
  tapvid.evaluate(_Tracker(), data_dir, tmp_path)
  with np.load(tmp_path / 'predictions' / 'goat.npz') as arrays:
    # In raster coordinates: the middle is 128 from the edge.
    expected = [[0, 128, 128], [1, 128, 130]]
    np.testing.assert_allclose(arrays['query_points'], expected)
    tracks = arrays['tracks']
    np.testing.assert_allclose(tracks[0, :, 0], 128 + 2 * np.arange(6))
    np.testing.assert_allclose(tracks[1, 1:, 0], 130 + 2 * np.arange(5))
    assert (tracks[..., 1] == 128).all()
    assert arrays['occluded'].astype(int).tolist() == [
        [0, 0, 1, 1, 1, 1],
        [1, 0, 0, 1, 1, 1],
    ]


def test_tracks_backward_too_where_queries_are_strided(tmp_path, data_dir):
  tracker = _Tracker()
  results = tapvid.evaluate(tracker, data_dir, tmp_path, query_mode='strided')
  # The first video has a point in frame 0, the second one in frame 5 too.
  once = [(6, 0, 1), (1, 0, 1)]
  assert tracker.asked == [*once, *once, (1, 5, 1), (6, 5, 1)]
  assert results['overall']['average_pts_within_thresh'] == 1
  assert results['query_mode'] == 'strided'


def test_scores_tracks_that_any_method_wrote(tmp_path, data_dir):
  predictions_dir = tmp_path / 'other'
  predictions_dir.mkdir()
  with pytest.raises(errors.UserError, match='other/goat.npz'):
    tapvid.score(predictions_dir, data_dir, tmp_path)
  arrays = {
      'query_points': np.array([[0, 128, 128], [1, 128, 130]]),
      'tracks': np.full((2, 6, 2), 128.0) + np.arange(6)[:, None] * [2, 0],
      'occluded': np.array([[0, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 1]]),
  }
  np.savez(predictions_dir / 'goat.npz', **arrays)
  yak = arrays | {'query_points': [[0, 128, 128], [5, 128, 128]]}
  np.savez(predictions_dir / 'yak.npz', **yak)
  results = tapvid.score(predictions_dir, data_dir, tmp_path)
  assert results['overall']['average_jaccard'] == 1
  assert results['overall']['occlusion_accuracy'] == 1
  with pytest.raises(errors.UserError, match='goat.npz.*--query_mode'):
    tapvid.score(predictions_dir, data_dir, tmp_path, query_mode='strided')


def test_refuses_two_videos_of_one_name(tmp_path):
  for index in range(2):
    _write(tmp_path / f'{index}_of_2.pkl', {'goat': _example()})
  with pytest.raises(errors.UserError, match='1_of_2.pkl .*another video goat'):
    tapvid.evaluate(_Tracker(), tmp_path, tmp_path)


def test_says_that_there_is_nothing_to_score(tmp_path):
  example = _example() | {'occluded': np.ones((3, 4), bool)}
  _write(tmp_path / 'a.pkl', [example])
  with pytest.raises(errors.UserError, match='no point of'):
    tapvid.evaluate(_Tracker(), tmp_path, tmp_path)
