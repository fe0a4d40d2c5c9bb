"""The tracker in a browser tab: the site, as a browser without a network."""

import csv
import shutil
import threading
import zipfile

import numpy as np
from PIL import Image
import pytest
from selenium.webdriver.common import action_chains
from selenium.webdriver.common.by import By
from selenium.webdriver.support import wait

from experiments.web import server
from experiments.web import site
from tests import browsers
from vidcolor import errors
from vidcolor import masks
from vidcolor import network
from vidcolor.tracking import box_to_mask
from vidcolor.video import video_source

pytestmark = pytest.mark.slow

_FRAMES, _CORRECTED = 5, 3  # The number of frames, and one of them.
_PATIENCE = 180  # Seconds, for all that takes a few on an idle machine.


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('web') / 'site'


@pytest.fixture(scope='module')
def clip(folder):
  """The sample of the site, which is in `folder`."""
  pytest.importorskip('onnx', reason='no onnx: the extra [onnx] has it')
  if not (shutil.which('npm') and shutil.which('node')):
    pytest.skip('no npm: Node.js has it')
  try:
    return site.build(folder, num_frames=_FRAMES)
  except errors.UserError as error:
    if 'npm cannot get the libraries' not in str(error):
      raise
    pytest.skip(f'no registry of npm can be reached: {error}')


@pytest.fixture(scope='module')
def page(clip, folder, tmp_path_factory):
  """The page, after a first visit. Its host can no longer be reached."""
  profile = tmp_path_factory.mktemp('profile')
  with browsers.chromium(profile, profile / 'downloads') as browser:
    browser.set_script_timeout(_PATIENCE)
    with server.serve(folder, 0) as http:
      thread = threading.Thread(target=http.serve_forever, daemon=True)
      thread.start()
      url = f'http://127.0.0.1:{http.server_port}/'
      browser.get(url)
      browser.execute_async_script(
          'navigator.serviceWorker.ready.then(arguments[0])'
      )
      http.shutdown()
      thread.join()
    yield _Page(browser, url, profile / 'downloads')


class _Page:
  """What a person does with it, who waits until it answers."""

  def __init__(self, browser, url, downloads):
    self.browser, self.url, self.downloads = browser, url, downloads
    browser.set_window_size(1280, 900)
    browser.get(url)

  def until(self, condition):
    def check(_):
      problem = self.text('problem')
      assert not problem, problem
      return condition()

    return wait.WebDriverWait(self.browser, _PATIENCE).until(check)

  def find(self, name):
    return self.browser.find_element(By.ID, name)

  def text(self, name):
    return self.find(name).get_property('textContent')

  def press(self, name):
    button = self.find(name)
    self.until(lambda: button.is_displayed() and button.is_enabled())
    button.click()

  def shows(self, text):
    self.until(lambda: text in self.text('status'))

  def draw(self, x0, y0, x1, y1):
    """Draws a box by mouse."""
    canvas = self.find('picture')
    self.browser.execute_script('arguments[0].scrollIntoView()', canvas)
    width, height = (
        int(canvas.get_property(name)) for name in ('width', 'height')
    )
    scale = canvas.size['width'] / width
    place = lambda x, y: (
        round((x - width / 2) * scale),
        round((y - height / 2) * scale),
    )
    mouse = action_chains.ActionChains(self.browser)
    mouse.move_to_element_with_offset(canvas, *place(x0, y0)).click_and_hold()
    mouse.move_to_element_with_offset(canvas, *place(x1, y1)).release()
    mouse.perform()

  def turn_to(self, frame):
    self.browser.execute_script(
        'arguments[0].value = arguments[1];'
        'arguments[0].dispatchEvent(new Event("input"))',
        self.find('scrub'),
        frame,
    )

  def download(self, button, name):
    self.press(button)
    path = self.downloads / name
    self.until(path.exists)  # Chromium renames it when it is whole.
    return path


def _overlap(a, b):
  return (a & b).sum() / (a | b).sum()


def _box_around(mask):
  y, x = np.nonzero(mask)
  return np.array([x.min(), y.min(), x.max() + 1, y.max() + 1])


def _tracked(page):
  """Tracks; returns the masks that can be downloaded."""
  page.press('track')
  page.shows('Tracked to the end')
  path = page.download('save-masks', 'masks.zip')
  with zipfile.ZipFile(path) as archive:
    archive.extractall(page.downloads)
  path.unlink()
  paths = sorted((page.downloads / 'masks' / 'sample').iterdir())
  assert len(paths) == _FRAMES
  with Image.open(paths[0]) as picture:
    palette = np.array(picture.getpalette()).reshape(-1, 3)
  np.testing.assert_array_equal(palette, masks.palette())
  return np.stack([masks.read(path) for path in paths])


def test_the_page_tracks_as_python_does_without_a_network(page, folder, clip):
  page.press('sample')
  page.shows(f'sample.mp4: {_FRAMES} frames')
  box = _box_around(clip.masks[0] == 1)
  page.draw(*box)
  page.shows('Object 1 is marked in frame 1')
  found = _tracked(page)

  source = video_source.VideoSource(folder / 'sample.mp4')
  frames = [frame.rgb for frame in source]
  tracker = network.Network.load().propagator(short_side=240)
  by_box = box_to_mask.from_box(tracker.embed, frames[0], box)
  assert _overlap(found[0] == 1, by_box) > 0.95
  session = tracker.start_objects(frames[0], found[0])
  for mask, frame in zip(found[1:], frames[1:], strict=True):
    assert _overlap(mask == 1, session.next_mask(frame) == 1) > 0.98

  with open(page.download('save-table', 'tracks.csv'), newline='') as file:
    rows = list(csv.DictReader(file))
  areas = [int(row['area']) for row in rows]
  assert areas == [(mask == 1).sum() for mask in found]
  corners = [int(rows[-1][name]) for name in ('x0', 'y0', 'x1', 'y1')]
  np.testing.assert_array_equal(corners, _box_around(found[-1]))

  page.press('save-film')
  page.shows('is saved')
  (path,) = page.downloads.glob('overlay.*')
  film = [frame.rgb for frame in video_source.VideoSource(path)]
  assert len(film) == _FRAMES and film[0].shape == frames[0].shape

  # A box in a later frame gives the object anew.
  page.turn_to(_CORRECTED)
  page.browser.find_element(By.XPATH, '//label[.="Object 1"]').click()
  page.draw(*_box_around(clip.masks[_CORRECTED] == 1))
  page.shows(f'Object 1 is marked in frame {_CORRECTED + 1}')
  corrected = _tracked(page)
  np.testing.assert_array_equal(corrected[:_CORRECTED], found[:_CORRECTED])
  assert (corrected[_CORRECTED] != found[_CORRECTED]).any()
  session = tracker.start_objects(frames[0], found[0])
  for frame in frames[1 : _CORRECTED + 1]:
    session.step(frame)
  session.give({1: corrected[_CORRECTED] == 1})
  for index in range(_CORRECTED + 1, _FRAMES):
    mask = session.next_mask(frames[index])
    assert _overlap(corrected[index] == 1, mask == 1) > 0.98


def test_what_it_loads_comes_from_the_site(page):
  loaded = page.browser.execute_script(
      "return performance.getEntriesByType('resource').map(e => e.name)"
  )
  assert loaded and all(name.startswith(page.url) for name in loaded)


def test_what_is_no_video_is_told_in_one_sentence(page, tmp_path):
  path = tmp_path / 'text.mp4'
  path.write_text('no video')
  page.find('file').send_keys(str(path))
  wait.WebDriverWait(page.browser, _PATIENCE).until(
      lambda _: 'text.mp4 is not a video' in page.text('problem')
  )


def test_page_and_network_are_small(clip, folder):
  runtime = set(folder.glob('lib/ort*'))
  rest = set(folder.rglob('*.*')) - runtime
  assert sum(path.stat().st_size for path in rest) < 4e6


def test_other_folders_are_not_replaced(tmp_path):
  (tmp_path / 'a.txt').touch()
  with pytest.raises(errors.UserError, match='holds other files'):
    site.build(tmp_path)
  assert (tmp_path / 'a.txt').exists()


def test_npm_is_asked_for(tmp_path, monkeypatch):
  monkeypatch.setenv('PATH', '')
  with pytest.raises(errors.UserError, match='no npm: install Node.js'):
    site.build(tmp_path / 'site')
  assert not list(tmp_path.iterdir())
