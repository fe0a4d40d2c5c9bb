import math
import os
import re

import cv2
import numpy as np
import pytest

from tests import full_disks
from vidcolor import masks
from vidcolor.render import heat
from vidcolor.render import overlay
from vidcolor.render import panels
from vidcolor.render import pca
from vidcolor.render import plots
from vidcolor.render import report


def test_palette_is_that_of_pascal_voc():
  colors = masks.palette()
  assert colors[:4].tolist() == [
      [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]
  ]  # fmt: skip
  assert colors[255].tolist() == [224, 224, 192]
  assert len(np.unique(colors, axis=0)) == 256


def _two_objects(number=1):
  mask = np.zeros((96, 128), np.uint8)
  mask[20:60, 10:50], mask[20:60, 70:110] = number, number + 1
  mask[80:90], mask[70, 5:8] = 255, number
  return mask


def test_masks_tint_objects_and_leave_the_rest():
  frame = np.full((96, 128, 3), 100, np.uint8)
  mask = _two_objects()
  colors = np.zeros((256, 3), np.uint8)
  colors[1:3] = (128, 0, 40), (0, 128, 240)
  drawn = overlay.draw_masks(frame, mask, opacity=0.25, colors=colors)
  is_object = (mask == 1) | (mask == 2)
  np.testing.assert_array_equal(drawn[~is_object], frame[~is_object])
  assert drawn[40, 30].tolist() == [107, 75, 85]
  assert drawn[40, 90].tolist() == [75, 107, 135]
  assert drawn[20, 30].tolist() == [128, 0, 40]  # The contour.
  assert frame.max() == 100


def _lab(rgb):
  pixel = np.asarray(rgb, np.float32).reshape(1, 1, 3) / 255
  return cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB)[0, 0]


@pytest.mark.parametrize('number', [1, 7, 253])
@pytest.mark.parametrize(
    'look',
    [(200, 30, 30), (128, 0, 0), (0, 200, 200), (70, 70, 255), (250,) * 3],
)
def test_colors_contrast_with_objects_and_one_another(look, number):
  rng = np.random.default_rng(0)
  frame = rng.integers(80, 120, (96, 128, 3)).astype(np.uint8)
  mask = _two_objects(number)
  frame[mask == number] = look
  colors = overlay.contrasting_colors(frame, mask)
  one, other = colors[number], colors[number + 1]
  for color, beside in (one, look), (one, other), (one, (100,) * 3):
    assert np.linalg.norm(_lab(color) - _lab(beside)) > 50
  untouched = np.setdiff1d(np.arange(256), [number, number + 1])
  expected = overlay.object_colors()
  np.testing.assert_array_equal(colors[untouched], expected[untouched])


def test_colors_of_objects_are_bright_and_differ():
  colors = overlay.object_colors()[1:]
  assert len(np.unique(colors, axis=0)) == 255
  assert min(_lab(color)[0] for color in colors) > 45
  for number, color in enumerate(colors[:8]):
    for other in colors[:number]:
      assert np.linalg.norm(_lab(color) - _lab(other)) > 20


def test_numbers_are_on_objects_or_beside_small_ones():
  frame = np.full((96, 128, 3), 100, np.uint8)
  mask = _two_objects()
  mask[2:4, 120:124], mask[92:, 0] = 7, 123
  changed = lambda drawn: np.any(drawn != frame, axis=-1)
  for number, (y, x) in {1: (40, 30), 2: (40, 90)}.items():
    drawn = changed(overlay.draw_names(frame, mask, {number: str(number)}))
    assert drawn[y - 8 : y + 9, x - 8 : x + 9].sum() == drawn.sum() > 20
  for number in 7, 123:
    drawn = changed(overlay.draw_names(frame, mask, {number: str(number)}))
    assert drawn.sum() > 20 and not drawn[mask == number].any()
  assert not changed(overlay.draw_names(frame, mask, {5: '5'})).any()
  assert frame.max() == 100


def test_tracks_are_numbered_if_there_are_several():
  frame = np.full((96, 128, 3), 100, np.uint8)
  mask = _two_objects()
  tracks = {'masks': mask[None], 'position': np.zeros((1, 2, 2))}
  seen = {'numbers': np.array([1, 2]), 'visible': np.ones((1, 2), bool)}
  both = overlay.draw_tracks(frame, 0, **tracks, **seen)
  tinted = overlay.draw_masks(frame, mask)
  expected = overlay.draw_names(tinted, mask, {1: '1', 2: '2'})
  np.testing.assert_array_equal(both, expected)
  named = overlay.draw_tracks(frame, 0, **tracks, **seen, names={2: 'dog'})
  expected = overlay.draw_names(tinted, mask, {1: '1', 2: 'dog'})
  np.testing.assert_array_equal(named, expected)
  assert (named != both)[:, 64:].any() and not (named != both)[:, :64].any()
  mask[mask == 2] = 0
  seen = {'numbers': np.array([1]), 'visible': np.ones((1, 1), bool)}
  tracks['position'] = np.zeros((1, 1, 2))
  one = overlay.draw_tracks(frame, 0, **tracks, **seen)
  np.testing.assert_array_equal(one, overlay.draw_masks(frame, mask))


def test_skeletons_end_at_joints_and_leave_out_what_is_lost():
  frame = np.full((80, 120, 3), 100, np.uint8)
  joints = np.array([[10, 20], [50.5, 20], [-1, -1], [90, 60], [10, np.nan]])
  limbs = [(0, 1), (1, 2), (3, 4)]
  drawn = overlay.draw_joints(frame, joints, limbs)
  is_drawn = np.any(drawn != frame, axis=-1)
  assert is_drawn[20, 10:51].all() and is_drawn[60, 90]
  assert not is_drawn[25:55].any() and not is_drawn[:, 56:85].any()
  # A limb has the color of the joint it leads to, anti-aliased.
  first, limb, second = drawn[20, [10, 30, 50]].astype(int)
  assert np.abs(limb - second).max() < 25 < np.abs(limb - first).max()
  assert frame.max() == 100


def test_points_are_discs_or_rings_at_the_end_of_their_trails():
  frame = np.full((512, 512, 3), 100, np.uint8)
  nowhere = [[400, 400], [np.nan, 400]]
  trails = np.array([[[20, 20], [60, 20]], [[20, 60], [60, 60]], nowhere])
  visible = np.array([True, False, True])
  colors = overlay.color_wheel(3)
  drawn = overlay.draw_points(frame, trails, visible, colors)
  is_drawn = np.any(drawn != frame, axis=-1)
  # Two pixels wide, anti-aliased.
  np.testing.assert_allclose(drawn[20, 40], colors[0], atol=20)
  np.testing.assert_allclose(drawn[60, 40], colors[1], atol=20)
  # Half-way out, a disc is full and a ring is empty; six pixels is all the way.
  assert is_drawn[20, 63] and is_drawn[14, 60]
  assert not is_drawn[60, 63] and is_drawn[54, 60]
  assert not is_drawn[70:].any() and frame.max() == 100


@pytest.mark.parametrize('far', [np.inf, -np.inf, 1e9, -1e9])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_what_is_far_away_or_not_finite_is_not_in_the_picture(far, dtype):
  frame = np.full((80, 120, 3), 100, np.uint8)
  joints = np.array([[10, 10], [far, 60], [60, far]], dtype)
  drawn = overlay.draw_joints(frame, joints, [(1, 2)])
  assert np.any(drawn[10, 10] != frame[10, 10])
  np.testing.assert_array_equal(drawn[40:], frame[40:])
  trails = joints[:, None].repeat(2, axis=1)
  seen = np.ones(3, bool)
  drawn = overlay.draw_points(frame, trails, seen, overlay.color_wheel(3))
  assert np.any(drawn[10, 10] != frame[10, 10])
  np.testing.assert_array_equal(drawn[40:], frame[40:])


def test_heat_is_white_hot_or_nothing_over_a_dimmed_grey():
  frame = np.full((40, 80, 3), (200, 100, 50), np.uint8)
  affinity = np.zeros((4, 8))
  affinity[1, 1:5] = 2, 1, 0.1, 1e-4
  drawn = heat.draw_affinity(frame, affinity, np.array([70.0, 30.0])).astype(
      int
  )
  nothing = drawn[2, 2]
  assert nothing[0] == nothing[1] == nothing[2] < 100
  # Of a cell of ten pixels the middle shows the cell's own.
  assert drawn[14, 20].min() > 200
  red, green, blue = drawn[15, 34]
  assert red > green > blue and red > nothing[0] + 60
  np.testing.assert_array_equal(drawn[14, 45], nothing)
  is_ring = np.any(drawn[20:, 60:] != nothing, axis=-1)
  assert is_ring.any() and not is_ring[10, 10] and is_ring[10, :10].any()
  assert frame.min() == 50


def test_marks_are_crosses_with_numbers_if_there_are_more():
  frame = np.full((288, 384, 3), 100, np.uint8)
  one = heat.mark_points(frame, np.array([[40.0, 144.0]]))
  two = heat.mark_points(frame, np.array([[40.0, 144.0], [383.0, 0.0]]))
  changed = lambda drawn: np.any(drawn != frame, axis=-1)
  assert changed(one)[144, 40] and not changed(one)[:, 54:].any()
  assert not changed(frame).any()
  assert changed(two)[144, 40] and changed(two)[0, 383]
  assert changed(two)[100:, 54:80].sum() > 10


def test_a_film_frame_has_at_most_three_panels_in_a_row(tmp_path):
  pictures = {
      f'panel {i}': np.full((40, 60, 3), 10 * i, np.uint8) for i in range(5)
  }
  two = panels.film_frame(dict(list(pictures.items())[3:]))
  assert np.all(two[-40:, :60] == 30)
  assert np.all(two[-40:, -60:] == 40)
  # Five panels: three and two, and a white one.
  five = panels.film_frame(pictures)
  assert five.shape[1] == 3 * 60 + 2 * 4
  assert np.all(five[-40:, 64:124] == 40)
  assert np.all(five[-40:, -60:] == 255)
  panels.write_picture(tmp_path / 'five.png', five)
  np.testing.assert_array_equal(
      cv2.imread(str(tmp_path / 'five.png'))[..., ::-1], five
  )


def test_panels_are_side_by_side_below_their_titles():
  pair = [np.full((50, 80, 3), value, np.uint8) for value in (10, 200)]
  row = panels.hstack(pair)
  np.testing.assert_array_equal(row[:, :80], pair[0])
  np.testing.assert_array_equal(row[:, -80:], pair[1])
  titled = panels.hstack(pair, ['left', 'a title wider than a panel'])
  assert titled.shape[1] == row.shape[1]
  np.testing.assert_array_equal(titled[-50:], row)
  bar = titled[:-50]
  assert bar.min() < 100 and bar[:, -3:].min() == 255  # Written, and not cut.


def test_rows_of_panels_have_gaps_between_them():
  rows = [np.full((20, 30, 3), value, np.uint8) for value in (1, 81)]
  stack = panels.vstack(rows)
  assert stack.shape == (2 * 20 + 4, 30, 3)
  assert stack[[0, 22, -1], 0, 0].tolist() == [1, 255, 81]


def _embeddings(time=3):
  rng = np.random.default_rng(0)
  spread = np.array([9, 5, 3] + 5 * [0.1], np.float32)
  return spread * rng.standard_normal((time, 12, 16, 8), np.float32)


def _shown(embeddings):
  basis = pca.fit_basis(iter(embeddings))
  return np.stack([pca.to_colors(frame, basis) for frame in embeddings])


def test_pca_shows_the_widest_directions():
  shown = _shown(_embeddings())
  assert shown.shape == (3, 12, 16, 3) and shown.std() > 40
  for channel in range(3):
    correlation = np.corrcoef(
        shown[..., channel].ravel(), _embeddings()[..., channel].ravel()
    )
    assert correlation[0, 1] > 0.95


def test_pca_colors_what_is_alike_alike_in_every_frame():
  embeddings = _embeddings()
  embeddings[2] = embeddings[0]
  embeddings[1] += 5
  shown = _shown(embeddings)
  np.testing.assert_array_equal(shown[2], shown[0])
  assert shown[1, ..., 0].mean() > shown[0, ..., 0].mean() + 20


def test_pca_of_frame_after_frame_is_that_of_all_at_once():
  embeddings = _embeddings() + 100
  (mean, directions), points = pca.fit_basis(iter(embeddings)), embeddings
  points = points.reshape(-1, points.shape[-1]).astype(np.float64)
  np.testing.assert_allclose(mean, points.mean(axis=0))
  # Whitened: what the directions give is uncorrelated, of deviation 1.
  components = (points - points.mean(axis=0)) @ directions
  np.testing.assert_allclose(np.cov(components.T, ddof=0), np.eye(3), atol=1e-7)
  variances = np.linalg.eigvalsh(np.cov(points.T, ddof=0))[:-4:-1]
  np.testing.assert_allclose(
      np.linalg.norm(directions, axis=0), variances**-0.5
  )


def test_pca_keeps_its_signs_whatever_is_shown():
  basis = pca.fit_basis(iter(_embeddings()))
  for other in (_embeddings()[::-1], -_embeddings(), _embeddings()[:2]):
    again = pca.fit_basis(iter(other))
    alignment = np.sum(again.directions * basis.directions, axis=0)
    assert np.all(alignment > 0)


def test_pca_of_a_constant_is_defined():
  assert np.ptp(_shown(np.ones((2, 2, 2, 4), np.float32))) == 0


def test_figures_are_whole_png_files(tmp_path):
  plots.loss_curve(np.arange(50), np.linspace(3, 1, 50), tmp_path / 'loss.png')
  plots.j_by_frame({'ours': np.linspace(1, 0, 9)}, tmp_path / 'j.png')
  plots.scatter(
      np.array([0.1, 0.5]),
      np.array([0.2, 0.9]),
      ['a $b$', 'c_d'],
      tmp_path / 'scatter.png',
      xlabel='x',
      ylabel='y',
      title='ρ = 1',
  )
  plots.bars(
      {'ours': {'fast': 0.5, 'dark': 0.2}, 'flow': {'dark': 0.1, 'far': 1}},
      tmp_path / 'bars.png',
      xlabel='mean J',
  )
  files = sorted(path.name for path in tmp_path.iterdir())
  assert files == ['bars.png', 'j.png', 'loss.png', 'scatter.png']
  for name in files:
    assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def _ink(path, bgr):
  return np.all(cv2.imread(str(path)) == bgr, axis=-1)


def test_bars_are_as_long_as_scores_and_stand_in_groups(tmp_path):
  scores = {'flow': {'fast': 1.0, 'dark': 0.5}, 'ours': {'dark': 1.0}}
  plots.bars(scores, tmp_path / 'bars.png', xlabel='mean J')
  legend = 60  # Rows of pixels.
  blue = _ink(tmp_path / 'bars.png', (0xB2, 0x72, 0))[legend:].sum(1)
  orange = _ink(tmp_path / 'bars.png', (0, 0x9F, 0xE6))[legend:].sum(1)
  (fast, dark), (ours,) = map(_runs, (blue, orange))
  assert fast[1] < dark[0] and dark[1] <= ours[0] + 1
  assert blue[sum(fast) // 2] == pytest.approx(2 * blue[sum(dark) // 2], abs=4)
  assert orange[sum(ours) // 2] == pytest.approx(blue[sum(fast) // 2], abs=4)


def _runs(counts):
  """Where positive numbers begin and end."""
  is_positive = np.concatenate([[False], counts > 0, [False]])
  return np.flatnonzero(np.diff(is_positive)).reshape(-1, 2).tolist()


@pytest.mark.slow
def test_scatter_labels_points_where_there_is_room(tmp_path):
  def ink(x, label):
    path, labels = tmp_path / 'scatter.png', len(x) * [label]
    y = np.zeros(len(x))
    plots.scatter(np.array(x), y, labels, path, xlabel='x', ylabel='y')
    return np.sum(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) < 60)

  two = ink([0.0, 1.0], 'label') - ink([0.0, 1.0], '')
  assert two > 40
  # One point hides another, their labels do not; of a crowd few show.
  same = ink([0.0, 0.0, 1.0], 'label') - ink([0.0, 0.0, 1.0], '')
  assert same == pytest.approx(1.5 * two, rel=0.1)
  crowd = np.linspace(0, 1e-3, 20).tolist() + [1.0]
  assert ink(crowd, 'label') - ink(crowd, '') < 6 * two


def test_a_sample_grid_has_a_row_for_each_sample():
  columns = {
      name: np.full((3, 40, 60, 3), value, np.uint8)
      for name, value in [('grey', 90), ('true', 160), ('copied', 230)]
  }
  grid = panels.sample_grid(columns)
  assert grid.shape[1] == 3 * 60 + 2 * 4
  for value in 90, 160, 230:
    assert np.sum(np.all(grid == value, -1)) >= 3 * 40 * 60
  np.testing.assert_array_equal(grid[-40:, :60], columns['grey'][0])


def test_film_strip_takes_the_first_the_last_and_between():
  frames = [np.full((4, 6, 3), index, np.uint8) for index in range(11)]
  strip = panels.film_strip(frames, 3)
  assert strip[0, [0, 10, -1], 0].tolist() == [0, 5, 10]


@pytest.fixture
def media(tmp_path):
  (tmp_path / 'bear 1.mp4').write_bytes(b'film')
  (tmp_path / 'loss.png').write_bytes(b'picture')
  return [
      report.Media('bear 1.mp4', 'The <bear>.'),
      report.Media('loss.png', 'The "loss".'),
  ]


def _page(folder, *sections, title='Title'):
  report.write_page(folder / 'report.html', title=title, sections=sections)
  return (folder / 'report.html').read_text()


def test_report_holds_every_section_and_its_media(tmp_path, media):
  page = _page(
      tmp_path,
      report.Section('Scores', table=report.Table({}, 'None yet.')),
      report.Section('Videos <&>', text='Who & $what.', media=media),
      title='R&D $title',
  )
  for part in (
      '<title>R&amp;D $title</title>',
      '<h2>Scores</h2>',
      'None yet.',
      '<h2>Videos &lt;&amp;&gt;</h2>',
      'Who &amp; $what.',
      '<video src="data:video/mp4;base64,ZmlsbQ=="',
      'The &lt;bear&gt;.',
      '<img src="data:image/png;base64,cGljdHVyZQ=="',
      'alt="The &quot;loss&quot;."',
  ):
    assert part in page
  assert '<bear>' not in page and 'loss.png' not in page
  assert not list(tmp_path.glob('.*'))


def test_report_takes_names_that_are_no_text(tmp_path):
  name = os.fsdecode(b'bear\xff')
  assert '<h2>bear?</h2>' in _page(tmp_path, report.Section(name))


def test_report_without_its_media_is_not_written(tmp_path):
  media = [report.Media('gone.mp4', 'Gone.')]
  with pytest.raises(FileNotFoundError, match='gone.mp4'):
    _page(tmp_path, report.Section('Films', media=media))
  assert not list(tmp_path.iterdir())


def _table_rows(folder, table):
  """Cells by row's name, as they stand in the page."""
  page = _page(folder, report.Section('Scores', table=table))
  rows = re.findall('<tr><th scope="row">(.*)</th>(.*)</tr>', page)
  return {name: re.findall('<td>(.*?)</td>', cells) for name, cells in rows}


def test_table_shows_counts_scores_text_and_what_is_missing(tmp_path):
  rows = {
      'bear': {'frames': 82, 'J': 0.5, 'seen': '<often>', 'F': math.nan},
      'a&b': {'F': -0.0301, 'J': None},
  }
  table = report.Table(rows, '', summary={'mean': {'J': 0.75}})
  assert _table_rows(tmp_path, table) == {
      'mean': ['', '0.750', '', ''],
      'bear': ['82', '0.500', '&lt;often&gt;', ''],
      'a&amp;b': ['', '', '', '-0.030'],
  }


@pytest.mark.parametrize(
    'best, first, second',
    [
        (None, ['0.700', '0.500', '0.700'], ['0.200', '']),
        (max, ['<b>0.700</b>', '0.500', '<b>0.700</b>'], ['<b>0.200</b>', '']),
        (min, ['0.700', '<b>0.500</b>', '0.700'], ['<b>0.200</b>', '']),
    ],
)
def test_table_sets_the_best_in_bold(tmp_path, best, first, second):
  rows = {
      'bear': {'ours': 0.7, 'flow': 0.5, 'theirs': 0.7001},
      'camel': {'ours': 0.2, 'flow': math.nan},
      'empty': {},
  }
  shown = _table_rows(tmp_path, report.Table(rows, '', best=best))
  assert shown == {
      'bear': first, 'camel': [*second, ''], 'empty': ['', '', '']
  }  # fmt: skip


@pytest.mark.parametrize('size', [(60, 8192), (8192, 60), (1, 4000), (48, 64)])
def test_stills_of_any_shape_make_a_picture_that_can_be_read(tmp_path, size):
  frame = np.full((*size, 3), 90, np.uint8)
  strips = {
      'grid': panels.still_grid([frame] * 8, ['0: 0.0 s'] * 8),
      'samples': panels.sample_grid(
          {name: np.stack([panels.thumbnail(frame, 160)] * 8) for name in 'abc'}
      ),
  }
  for name, strip in strips.items():
    assert max(strip.shape) < 3000
    panels.write_picture(tmp_path / f'{name}.jpg', strip)
    written = cv2.imread(str(tmp_path / f'{name}.jpg'))
    assert written.shape == strip.shape


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
  picture = np.zeros((2, 70_000, 3), np.uint8)  # Beyond JPEG.
  with pytest.raises((ValueError, cv2.error)):
    panels.write_picture(tmp_path / 'a.jpg', picture)
  with full_disks.files_of_at_most(10), pytest.raises(OSError):
    panels.write_picture(tmp_path / 'a.png', picture[:, :90])
  assert not list(tmp_path.iterdir())
