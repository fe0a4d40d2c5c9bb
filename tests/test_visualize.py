import functools

import cv2
from jax import numpy as jnp
import numpy as np
import pytest

from tests import odd_videos
from tests import programs
from vidcolor import visualization
from vidcolor.render import pca
from vidcolor.tracking import affinity
from vidcolor.tracking import propagation
from vidcolor.video import decoding
from vidcolor.video import mp4
from vidcolor.video import video_source

pytestmark = pytest.mark.slow

_CELL = 8
_SIZE = (96, 128)


def _random_embeddings():
  rng = np.random.default_rng(0)
  embeddings = rng.standard_normal((12, 16, 8)).astype(np.float32)
  return jnp.asarray(
      embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
  )


POINTS = np.array([[35.5, 43.5], [99.5, 67.5]])  # Of cells 5, 4 and 8, 12.


def _match(embeddings, moved):
  queries = affinity.at_points(embeddings, POINTS, _SIZE)
  return affinity.match(queries, moved, _SIZE, 0.02)


def test_affinity_peaks_at_the_points_themselves():
  embeddings = _random_embeddings()
  matches = _match(embeddings, embeddings)
  np.testing.assert_allclose(matches.affinity.sum((1, 2)), 1, rtol=1e-5)
  peaks = matches.affinity.reshape(2, -1).argmax(axis=1)
  assert peaks.tolist() == [5 * 16 + 4, 8 * 16 + 12]
  np.testing.assert_allclose(matches.best, POINTS, atol=_CELL / 4)


def test_affinity_peaks_where_a_point_moved():
  embeddings = _random_embeddings()
  moved = jnp.roll(embeddings, (2, -3), axis=(0, 1))
  shift = _CELL * np.array([-3, 2])
  matches = _match(embeddings, moved)
  np.testing.assert_allclose(matches.best, POINTS + shift, atol=_CELL / 4)


def test_points_at_the_very_edge_have_an_embedding():
  embeddings = _random_embeddings()
  corners = np.array([[0.0, 0.0], [127.0, 95.0], [127.4, -0.4]])
  found = affinity.at_points(embeddings, corners, _SIZE)
  expected = embeddings[np.array([0, 11, 0]), np.array([0, 15, 15])]
  np.testing.assert_array_equal(found, expected)


def _embed(frame):
  """Cells' mean colors, as unit vectors."""
  small = cv2.resize(np.asarray(frame), (16, 12), interpolation=cv2.INTER_AREA)
  values = np.dstack(
      [small.astype(np.float32) - 127.5, np.full((12, 16), 40.0)]
  )
  length = np.linalg.norm(values, axis=-1, keepdims=True)
  return jnp.asarray(values / length, jnp.float32)


_TRACKER = propagation.LabelPropagator(
    _embed,
    propagation.PropagationOptions(
        recent=1, keep_first=False, radius=3, top_k=None
    ),
)


def _square(index):
  """A bright red square on dark green that goes right by a cell a frame."""
  frame = np.full((*_SIZE, 3), (20, 80, 30), np.uint8)
  left = _CELL * (3 + index)
  frame[40:56, left : left + 16] = 250, 120, 130
  return frame


_FRAMES = [
    video_source.VideoFrame(_square(index), index / 5) for index in range(5)
]


def test_embeddings_keep_their_colors_as_they_move():
  basis = pca.fit_basis(_embed(frame.rgb) for frame in _FRAMES)
  frames = list(visualization.show_embeddings(_embed, iter(_FRAMES), basis))
  assert [frame.seconds for frame in frames] == [0, 0.2, 0.4, 0.6, 0.8]
  for index, shown in enumerate(frames):
    rgb, colors = shown.panels.values()
    np.testing.assert_array_equal(rgb, _FRAMES[index].rgb)
    assert colors.shape == rgb.shape
    centre = colors[48, _CELL * (4 + index)]
    _, first = frames[0].panels.values()
    np.testing.assert_array_equal(centre, first[48, _CELL * 4])
    assert np.abs(centre - colors[10, 10].astype(int)).max() > 100


def test_affinity_is_hot_where_the_point_is_now():
  points = np.array([[48.0, 48.0]])
  frames = visualization.show_affinity(
      _embed, iter(_FRAMES), _FRAMES[2].rgb, points, 0.05
  )
  for index, frame in enumerate(frames):
    marked, drawn = frame.panels.values()
    assert np.any(marked != _FRAMES[2].rgb)
    is_hot = drawn[..., 0] > drawn[..., 2].astype(int) + 60
    is_white = drawn.min(axis=-1) > 200
    rows, columns = np.nonzero(is_hot | is_white)
    assert 40 - _CELL <= rows.min() and rows.max() < 56 + _CELL
    left = _CELL * (3 + index)
    assert left - _CELL <= columns.min() and columns.max() < left + 16 + _CELL


def test_affinity_has_a_panel_for_each_point():
  frames = visualization.show_affinity(
      _embed, iter(_FRAMES), _FRAMES[0].rgb, POINTS, 0.05
  )
  titles = [list(frame.panels) for frame in frames]
  assert titles == 5 * [['query', 'matches of point 1', 'matches of point 2']]


def test_colors_are_those_of_the_first_frame():
  turned = [frame._replace(rgb=frame.rgb[..., ::-1]) for frame in _FRAMES[1:]]
  first, *_, last = visualization.show_colors(_TRACKER, [_FRAMES[0], *turned])
  grey, true, copied = first.panels.values()
  assert np.ptp(grey.astype(int), axis=-1).max() <= 2
  np.testing.assert_array_equal(true, _FRAMES[0].rgb)
  # Shrunk to cells of eight pixels, the square is a little mixed with green.
  np.testing.assert_allclose(copied[48, 32], true[48, 32], atol=60)
  np.testing.assert_allclose(copied[10, 10], true[10, 10], atol=3)
  grey, true, copied = last.panels.values()
  np.testing.assert_array_equal(true, turned[-1].rgb)
  # Red as it was, though by now it is blue.
  red, _, blue = copied[48, _CELL * 8].astype(int)
  assert red > blue + 50


def test_the_default_is_a_corner_near_the_centre():
  ((x, y),) = visualization.salient_point(_square(2))
  assert min(abs(x - 40), abs(x - 56)) < 3 and min(abs(y - 40), abs(y - 56)) < 3
  flat = np.full((48, 64, 3), 90, np.uint8)
  assert visualization.salient_point(flat).tolist() == [[31.5, 23.5]]


def test_films_have_stills_of_their_panels(clip, tmp_path):
  source = video_source.VideoSource(clip)
  frames = [
      visualization.PanelFrame(
          t / 5,
          {f'{i}': np.full((40, 60, 3), 20 * t + i, 'u1') for i in (0, 9)},
      )
      for t in range(5)
  ]
  path = tmp_path / 'film.mp4'
  stills = visualization.write_film(path, frames, source, [0, 2, 4])
  assert [[still.mean() for still in row] for row in stills] == [
      [0, 40, 80], [9, 49, 89]
  ]  # fmt: skip
  written = list(video_source.VideoSource(path))
  assert [frame.seconds for frame in written] == [t / 5 for t in range(5)]
  assert written[0].rgb.shape[1] == 2 * 60 + 4


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'clip.mp4'
  mp4.write(path, [frame.rgb[:95] for frame in _FRAMES], 5.0)
  return path


def _run(clip, output_dir, *flags, run=programs.run):
  return run(
      'vidcolor.visualize', f'--video={clip}', f'--output_dir={output_dir}',
      *flags,
  )  # fmt: skip


def test_the_program_writes_three_films_a_strip_and_a_page(clip, tmp_path):
  done = _run(clip, tmp_path, '--points=40,48;0,0', '--query_frame=1')
  assert done.returncode == 0, done.stderr
  for name, panels in (('embeddings', 2), ('affinity', 3), ('colors', 3)):
    frames = list(decoding.read_frames(tmp_path / f'{name}.mp4'))
    assert len(frames) == 5
    assert frames[0].shape[1] == panels * 128 + (panels - 1) * 4
  page = (tmp_path / 'report.html').read_text()
  assert page.count('<video src="data:video/mp4') == 3
  assert 'of frame 1 is compared' in page
  assert cv2.imread(str(tmp_path / 'strip.jpg')).shape[0] == 4 * 135 + 3 * 4
  assert len(list(tmp_path.iterdir())) == 5


@pytest.mark.parametrize(
    'flags, told',
    [
        (['--points=128,10'], 'the point 128,10 is outside of the frame'),
        (['--points=1,1;2,2;3,3;4,4;5,5'], 'at most 4'),
        (['--query_frame=5'], '--query_frame=5'),
        (['--start=9'], 'has no frame'),
        (['--checkpoint=gone.npz'], 'there is no file gone.npz'),
    ],
)
def test_wrong_flags_end_in_one_line(clip, tmp_path, flags, told):
  done = _run(clip, tmp_path, *flags, run=programs.run_here)
  _expect_line(done, told)


def test_what_cannot_be_read_or_written_ends_in_one_line(clip, tmp_path):
  sound = tmp_path / 'sound.mp4'
  odd_videos.write_audio(sound)
  run = functools.partial(_run, run=programs.run_here)
  _expect_line(run(sound, tmp_path), 'holds no video')
  _expect_line(run(clip, clip), f'cannot make the folder {clip}')


def _expect_line(done, told):
  assert done.returncode == 2
  (line,) = done.stderr.splitlines()
  assert line.startswith('error: ') and told in line
