import numpy as np

from vidcolor import masks
from vidcolor.render import figures
from vidcolor.render import overlay
from vidcolor.render import pca
from vidcolor.render import report


def test_palette_is_that_of_pascal_voc():
  colours = masks.palette()
  assert colours[:4].tolist() == [
      [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]
  ]  # fmt: skip
  assert colours[255].tolist() == [224, 224, 192]
  assert len(np.unique(colours, axis=0)) == 256


def test_masks_tint_objects_and_leave_the_rest():
  frame = np.full((40, 60, 3), 100, np.uint8)
  mask = np.zeros((40, 60), np.uint8)
  mask[5:25, 5:25], mask[5:25, 30:50], mask[30:38, :] = 1, 2, 255
  drawn = overlay.draw_masks(frame, mask, opacity=0.25)
  is_object = (mask == 1) | (mask == 2)
  np.testing.assert_array_equal(drawn[~is_object], frame[~is_object])
  assert drawn[15, 15].tolist() == [107, 75, 75]
  assert drawn[15, 40].tolist() == [75, 107, 75]
  assert drawn[5, 15].tolist() == [192, 128, 128]  # The contour.
  assert frame.max() == 100


def test_panels_stand_side_by_side_below_their_titles():
  panels = [np.full((50, 80, 3), value, np.uint8) for value in (10, 200)]
  row = overlay.side_by_side(panels)
  np.testing.assert_array_equal(row[:, :80], panels[0])
  np.testing.assert_array_equal(row[:, -80:], panels[1])
  titled = overlay.side_by_side(panels, ['left', 'a title wider than a panel'])
  assert titled.shape[1] == row.shape[1]
  np.testing.assert_array_equal(titled[-50:], row)
  bar = titled[:-50]
  assert bar.min() < 100 and bar[:, -3:].min() == 255  # Written, and not cut.


def _embeddings(time=3):
  rng = np.random.default_rng(0)
  spread = np.array([9, 5, 3] + 5 * [0.1], np.float32)
  return spread * rng.standard_normal((time, 12, 16, 8), np.float32)


def test_pca_shows_the_widest_directions():
  shown = pca.project(_embeddings())
  assert shown.shape == (3, 12, 16, 3) and shown.std() > 40
  for channel in range(3):
    correlation = np.corrcoef(
        shown[..., channel].ravel(), _embeddings()[..., channel].ravel()
    )
    assert correlation[0, 1] > 0.95


def test_pca_colours_what_is_alike_alike_in_every_frame():
  embeddings = _embeddings()
  embeddings[2] = embeddings[0]
  embeddings[1] += 5
  shown = pca.project(embeddings)
  np.testing.assert_array_equal(shown[2], shown[0])
  assert shown[1, ..., 0].mean() > shown[0, ..., 0].mean() + 20


def test_pca_does_not_depend_on_the_order_of_frames():
  embeddings = _embeddings()
  shown = pca.project(embeddings)
  again = pca.project(embeddings[::-1].copy())[::-1]
  assert np.abs(shown.astype(int) - again).max() <= 1


def test_pca_of_a_constant_is_defined():
  assert pca.project(np.ones((1, 2, 2, 4), np.float32)).max() == 0


def test_figures_are_whole_png_files(tmp_path):
  figures.loss_curve(
      np.arange(50), np.linspace(3, 1, 50), tmp_path / 'loss.png'
  )
  figures.j_by_frame({'ours': np.linspace(1, 0, 9)}, tmp_path / 'j.png')
  files = sorted(path.name for path in tmp_path.iterdir())
  assert files == ['j.png', 'loss.png']
  for name in files:
    assert (tmp_path / name).read_bytes().startswith(b'\x89PNG')


def test_color_grid_has_a_row_for_each_sample():
  columns = {
      name: np.full((3, 40, 60, 3), value, np.uint8)
      for name, value in [('grey', 90), ('true', 160), ('copied', 230)]
  }
  grid = figures.color_grid(columns)
  assert grid.shape[1] == 3 * 60 + 2 * 4
  for value in 90, 160, 230:
    assert np.sum(np.all(grid == value, -1)) >= 3 * 40 * 60
  np.testing.assert_array_equal(grid[-40:, :60], columns['grey'][0])


def test_film_strip_takes_the_first_the_last_and_between():
  frames = [np.full((4, 6, 3), index, np.uint8) for index in range(11)]
  strip = figures.film_strip(frames, 3)
  assert strip[0, [0, 10, -1], 0].tolist() == [0, 5, 10]


def test_report_shows_every_section_and_escapes(tmp_path):
  table = report.Table(
      {'bear': {'ours': 0.7, 'flow': 0.5}, 'a&b': {'flow': 0.25}}, 'Mean J.'
  )
  media = [
      report.Media('bear 1.mp4', 'The <bear>.'),
      report.Media('loss.png', 'The loss.'),
  ]
  sections = [
      report.Section('Scores', table=table),
      report.Section('Videos <&>', text='Who & what.', media=media),
  ]
  report.write(tmp_path / 'report.html', title='R&D', sections=sections)
  (path,) = tmp_path.iterdir()
  page = path.read_text()
  for part in (
      '<title>R&amp;D</title>',
      '<h2>Scores</h2>',
      '<h2>Videos &lt;&amp;&gt;</h2>',
      'Who &amp; what.',
      'src="bear%201.mp4"',
      'The &lt;bear&gt;.',
      'src="loss.png"',
      '<b>0.700</b>',
      '<td>0.500</td>',
      'a&amp;b</th><td>–</td><td><b>0.250</b>',
  ):
    assert part in page
  assert '<bear>' not in page
