"""The page to click on, as a person's browser shows it."""

import base64
import csv
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

import av
import numpy as np
from PIL import Image
import pytest
from selenium.webdriver.common import action_chains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import wait

from tests import browsers
from tests import odd_videos
from tests import programs
from tests import tiny
from vidcolor import masks
from vidcolor import prompts_over_time
from vidcolor.video import mp4

pytestmark = pytest.mark.slow

CLIP, IS_SQUARE = tiny.red_square()
FRAMES, HEIGHT, WIDTH = IS_SQUARE.shape
_SOURCE = 'document.querySelector("#picture img")?.src'
_PATIENCE = 120  # Seconds, for all that takes a few on an idle machine.
_PACE = r'([\d.]+) pictures a second, latency (\d+) ms, (\d+) of (\d+) dropped'


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  profile = tmp_path_factory.mktemp('profile')
  camera = profile / 'camera.y4m'
  there_and_back = CLIP[[3, 4, 5, 6, 5, 4]]  # Chromium shows it in a loop.
  _write_raw(camera, there_and_back)
  with browsers.chromium(profile, profile / 'downloads', camera) as browser:
    browser.downloads = profile / 'downloads'
    yield browser


def _write_raw(path, frames):
  """Writes uncompressed video, which Chromium shows as that of a camera."""
  with av.open(str(path), 'w', format='yuv4mpegpipe') as container:
    stream = container.add_stream('rawvideo', rate=10)
    stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, 'yuv420p'
    for frame in frames:
      picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
      container.mux(stream.encode(picture))
    container.mux(stream.encode())


@pytest.fixture(scope='module')
def temporary(tmp_path_factory):
  """The folder that holds the program's temporary files."""
  return tmp_path_factory.mktemp('temporary')


@pytest.fixture(scope='module')
def url(browser, temporary):
  """The address of the page; checks what its program does on its way out."""
  with socket.create_server(('127.0.0.1', 0)) as server:
    port = server.getsockname()[1]
  with socket.create_server(('127.0.0.1', 0)) as outside:
    proxy = f'http://127.0.0.1:{outside.getsockname()[1]}'
    env = dict(os.environ, TMPDIR=str(temporary), NO_PROXY='127.0.0.1')
    env |= {name: proxy for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY')}
    program = [sys.executable, '-m', 'experiments.app', f'--port={port}']
    process = subprocess.Popen(program, cwd=programs.ROOT, env=env)
    try:
      url = f'http://127.0.0.1:{port}/'
      wait.WebDriverWait(process, _PATIENCE).until(
          lambda _: _is_served(process, url)
      )
      yield url
      process.send_signal(signal.SIGTERM)
      assert process.wait(_PATIENCE) == 0
      assert not [path for path in temporary.rglob('*') if path.is_file()]
      outside.setblocking(False)
      with pytest.raises(BlockingIOError):  # Nothing asked for the internet.
        outside.accept()
    finally:
      process.kill()
      process.wait()


def _is_served(process, url):
  assert process.poll() is None
  try:
    with urllib.request.urlopen(url):
      return True
  except urllib.error.URLError:
    return False


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
  path = tmp_path_factory.mktemp('clip') / 'a square.mp4'
  mp4.write(path, CLIP, 10.0)
  return path


class _Page:
  """What a person does with it, who waits until it answers."""

  def __init__(self, browser, url):
    self._browser = browser
    browser.get(url)

  def until(self, condition):
    return wait.WebDriverWait(self._browser, _PATIENCE).until(
        lambda _: condition()
    )

  def run(self, expression):
    return self._browser.execute_script(f'return {expression}')

  def find(self, xpath):
    return self.until(lambda: self._browser.find_elements(By.XPATH, xpath))[0]

  def shows(self, text):
    self.until(lambda: text in self.run('document.body.innerText'))

  def open(self, path):
    self.find('//input[@type="file"]').send_keys(str(path))

  def press(self, text):
    button = self.find(f'//button[normalize-space()="{text}"]')
    self.until(button.is_enabled)
    # Wherever it is: what scrolls smoothly is no place for a mouse.
    self._browser.execute_script('arguments[0].click()', button)

  def choose(self, text):
    self.find(f'//label[normalize-space()="{text}"]').click()

  def turn_to(self, number):
    """Enters the number of a frame, and waits until it is shown."""
    before = self.run(_SOURCE)
    entry = self.find('//input[@type="number"]')
    entry.send_keys(Keys.CONTROL, 'a')
    entry.send_keys(str(number), Keys.TAB)
    self.until(lambda: self.run(_SOURCE) not in (before, None))

  def frame(self):
    """Returns the number of the frame that is shown."""
    entry = self.find('//input[@type="number"]')
    return int(entry.get_property('value'))

  def press_right(self):
    """Goes to the next frame by the keyboard."""
    before = self.run(_SOURCE)
    self.find('//input[@type="range"]').send_keys(Keys.ARROW_RIGHT)
    self.until(lambda: self.run(_SOURCE) not in (before, None))

  def press_key(self, key, new_frame=False):
    """Presses a key where nothing is typed; may wait until it is drawn."""
    before = self.until(lambda: self.run(_SOURCE))
    self._browser.execute_script('document.activeElement.blur()')
    action_chains.ActionChains(self._browser).send_keys(key).perform()
    if new_frame:
      self.until(lambda: self.run(_SOURCE) not in (before, None))

  def open_mask(self, path):
    """Gives the button for a mask a file."""
    entry = self.find('//input[starts-with(@data-testid, "Mask")]')
    entry.send_keys(str(path))

  def call_it(self, name):
    """Enters the name of the chosen object."""
    entry = '//*[self::input or self::textarea]'
    entry = self.find(f'//label[contains(., "Its name")]{entry}')
    entry.send_keys(name, Keys.ENTER)

  def steady(self, xpath):
    """Scrolls to an element, and waits until what is above it is laid out."""
    element, places = self.find(xpath), []
    scroll = '{block: "center", behavior: "instant"}'
    self._browser.execute_script(
        f'arguments[0].scrollIntoView({scroll})', element
    )

    def is_steady():
      places.append(element.rect)
      return len(places) > 1 and places[-1] == places[-2]

    self.until(is_steady)
    return element

  def go_to_middle_of_strip(self):
    before = self.run(_SOURCE)
    strip = self.steady('//*[@id="strip"]//img')
    mouse = action_chains.ActionChains(self._browser)
    mouse.move_to_element_with_offset(strip, 2, 0).click().perform()
    self.until(lambda: self.run(_SOURCE) not in (before, None))

  def click(self, x, y):
    """Clicks a place of the frame, and waits until it is drawn there."""
    before = self.until(lambda: self.run(_SOURCE))
    picture = self.steady('//*[@id="picture"]//img')
    # From its middle on, at which the frame is shown as large as it is.
    offset = round(x - WIDTH / 2), round(y - HEIGHT / 2)
    mouse = action_chains.ActionChains(self._browser)
    mouse.move_to_element_with_offset(picture, *offset).click().perform()
    self.until(lambda: self.run(_SOURCE) not in (before, None))

  def plays(self):
    """Waits until the film does."""
    film = 'document.querySelector("#film video")'
    self.until(lambda: self.run(f'{film}?.readyState >= 2'))
    assert self.run(f'{film}.error') is None
    assert self.run(f'[{film}.videoWidth, {film}.videoHeight]') == [
        WIDTH,
        HEIGHT,
    ]
    time = self.run(f'{film}.currentTime')
    self.until(lambda: self.run(f'{film}.currentTime') != time)

  def offers(self, name):
    link = f'//*[@id="downloads"]//a[@download="{name}"]'
    return self._browser.find_elements(By.XPATH, link)

  def download(self, name):
    """Returns the path of a file that the page offers."""
    (link,) = self.until(lambda: self.offers(name))
    self._browser.execute_script('arguments[0].click()', link)
    path = self._browser.downloads / name
    self.until(path.exists)  # Chromium renames it when it is whole.
    return path.rename(path.with_name(f'{time.monotonic_ns()}_{name}'))


class _Camera(_Page):
  """What a person does with the tab of the camera."""

  def __init__(self, browser, url):
    super().__init__(browser, url)
    self.find('//button[@role="tab"][normalize-space()="Camera"]').click()
    self._canvas = self.find('//*[@id="webcam"]//canvas')

  def says(self, pattern):
    status = self.find('//*[@id="webcam"]//*[@role="status"]')
    return self.until(lambda: re.search(pattern, status.text))

  def drag(self, x0, y0, x1, y1):
    """Draws a box."""
    scale = self._canvas.size['width'] / WIDTH
    mouse = action_chains.ActionChains(self._browser)

    def move(x, y):
      offset = round((x - WIDTH / 2) * scale), round((y - HEIGHT / 2) * scale)
      return mouse.move_to_element_with_offset(self._canvas, *offset)

    move(x0, y0).click_and_hold()
    move(x1, y1).release().perform()

  def picture(self):
    """Returns what is drawn over the camera: RGB, and its opacity."""
    url = self._browser.execute_script(
        'return arguments[0].toDataURL()', self._canvas
    )
    data = io.BytesIO(base64.b64decode(url.partition(',')[2]))
    rgba = np.asarray(Image.open(data).convert('RGBA')).astype(int)
    return rgba[..., :3], rgba[..., 3]


@pytest.fixture
def page(browser, url):
  return _Page(browser, url)


def _rows(path):
  with open(path, newline='') as file:
    return list(csv.DictReader(file))


def _masks(page, folder, clip):
  """Downloads the masks, and returns them."""
  with zipfile.ZipFile(page.download('masks.zip')) as archive:
    archive.extractall(folder)
  return _read_masks(folder, clip)


def _read_masks(folder, clip):
  return [
      masks.read(folder / 'masks' / clip.stem / f'{n:05d}.png')
      for n in range(FRAMES)
  ]


def test_an_object_is_tracked_and_corrected_and_another_added(
    page, clip, tmp_path
):
  page.open(clip)
  page.shows('Click beside a corner')
  page.click(6, 16)
  page.shows('Now click the opposite corner')
  page.click(43, 53)
  page.shows('1 object.')
  page.press('Track')
  page.plays()
  rows = _rows(page.download('tracks.csv'))
  assert len(rows) == FRAMES and {row['name'] for row in rows} == {'1'}
  x = [float(row['x']) for row in rows]
  np.testing.assert_allclose(x, 24.5 + 4 * np.arange(FRAMES), atol=4)
  found = _masks(page, tmp_path / 'first', clip)
  for mask, truth in zip(found, IS_SQUARE, strict=True):
    # All of the box has 0.66.
    assert (mask & truth).sum() / (mask | truth).sum() > 0.9

  page.go_to_middle_of_strip()
  assert page.frame() == FRAMES // 2
  page.press_right()
  assert page.frame() == FRAMES // 2 + 1
  page.choose('Beside it')
  page.click(80, 60)
  page.choose('On the object')
  page.shows('click on object 1')
  page.choose('New object')
  page.shows('click on a new object')
  page.click(10, 60)
  page.shows('2 objects.')
  page.press('Track')
  page.shows('2 objects, tracked.')
  page.plays()
  given = page.download('prompts.json')
  entries = json.loads(given.read_text())
  assert [(entry['frame'], entry['number']) for entry in entries] == [
      (0, 1),
      (6, 1),
      (6, 2),
  ]
  found = _masks(page, tmp_path / 'page', clip)
  assert [(mask == 2).any() for mask in found[:6]] == 6 * [False]
  assert (found[6] == 2)[60, 10] and (found[6] == 1).any()
  page.press('Undo')
  page.shows('1 object. Click Track')
  page.press('Clear')
  page.shows('Click on a new object.')


def test_a_mask_is_taken_and_named_and_keys_do_all(page, clip, tmp_path):
  masks.write_png(tmp_path / 'mask.png', IS_SQUARE[1].astype(np.uint8))
  page.open(clip)
  page.shows('Click beside a corner')
  page.press_key('.', new_frame=True)
  assert page.frame() == 1
  page.open_mask(tmp_path / 'mask.png')
  page.shows('1 object.')
  page.call_it('cut u')
  page.shows('beside a corner of cut u')
  page.choose('New object')
  page.shows('beside a corner of a new object')
  page.choose('On the object')
  page.shows('on a new object')
  page.press_key('c')
  page.press_key(Keys.ARROW_UP)
  page.press_key(Keys.ENTER, new_frame=True)
  page.shows('2 objects.')
  page.press_key('u', new_frame=True)
  page.shows('1 object. Click Track')
  page.press_key('t')
  page.shows('1 object, tracked.')
  with zipfile.ZipFile(page.download('prompts.zip')) as archive:
    archive.extractall(tmp_path)
  given = prompts_over_time.read_prompts(tmp_path / 'prompts.json')
  assert given.frames == [1] and given.names == {1: 'cut u'}
  np.testing.assert_array_equal(given.at(1)[1].mask, IS_SQUARE[1])
  assert not page.offers('prompts.json')
  assert {row['name'] for row in _rows(page.download('tracks.csv'))} == {
      'cut u'
  }
  assert page.run('document.querySelector("#strip img").alt')


def test_files_go_with_the_page(browser, url, temporary, clip):
  first = browser.current_window_handle
  browser.switch_to.new_window('tab')
  page = _Page(browser, url)
  before = set(temporary.rglob('*.mp4'))
  page.open(clip)
  page.shows('Click beside a corner')
  (kept,) = set(temporary.rglob('*.mp4')) - before
  browser.close()
  browser.switch_to.window(first)
  page.until(lambda: not kept.parent.parent.exists())


def test_points_are_tracked_from_a_later_frame(page, clip):
  page.open(clip)
  page.shows('Click beside a corner')
  page.choose('A point')
  page.shows('Click on something')
  page.turn_to(3)
  for x, y in (22, 20), (52, 49), (80, 60):
    page.click(x, y)
  page.shows('3 points.')
  page.press('Undo')
  page.shows('2 points.')
  page.press('Track')
  page.plays()
  rows = _rows(page.download('tracks.csv'))
  assert len(rows) == 2 * FRAMES
  given = [(float(row['x']), float(row['y'])) for row in rows[6:8]]
  np.testing.assert_allclose(given, [(22, 20), (52, 49)], atol=1)
  last = float(rows[-1]['x']), float(rows[-1]['y'])
  np.testing.assert_allclose(last, (52 + 4 * 6, 49), atol=6)
  assert not page.offers('masks.zip')


def test_people_do_not_see_what_others_do(browser, page, url, clip):
  page.open(clip)
  page.click(6, 16)
  page.shows('Now click the opposite corner')
  first = browser.current_window_handle
  browser.switch_to.new_window('tab')
  other = _Page(browser, url)
  other.open(clip)
  other.shows('Click beside a corner')
  browser.close()
  browser.switch_to.window(first)
  page.click(43, 53)
  page.shows('1 object.')


def test_a_box_on_the_camera_is_tracked(browser, url):
  camera = _Camera(browser, url)
  camera.press('Start camera')
  camera.says('Drag a box')
  camera.drag(17, 15, 70, 55)  # Wherever the square is now.
  camera.until(lambda: int(camera.says(_PACE)[4]) > 15)
  _, latency, dropped, seen = map(float, camera.says(_PACE).groups())
  assert latency > 0 and 0 <= dropped < seen
  rgb, opacity = camera.picture()
  assert rgb.shape == CLIP.shape[1:] and (opacity == 255).all()
  # The square no longer has its color, and the rest does.
  area = IS_SQUARE[0].sum()
  assert (np.abs(rgb - (200, 40, 40)).max(axis=-1) < 50).sum() < 0.4 * area
  is_grey = rgb.max(axis=-1) - rgb.min(axis=-1) < 40
  assert is_grey.sum() > IS_SQUARE[0].size - 1.6 * area

  camera.press('Stop tracking')
  camera.says('Drag a box')
  assert not camera.picture()[1].any()
  camera.press('Track the centre')
  camera.says(_PACE)
  camera.press('Stop camera')
  camera.says('The camera is off')


def test_stop_ends_what_is_under_way_or_waits(browser, page, url, tmp_path):
  frames = 400 * [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)]
  mp4.write(tmp_path / 'long.mp4', frames, 10.0)

  def start(page):
    page.open(tmp_path / 'long.mp4')
    page.click(6, 16)
    page.click(43, 53)
    page.press('Track')

  def stop(page):
    page.press('Stop')
    page.shows('stopped: click Track to begin again')
    page.find('//button[normalize-space()="Track"]')
    page.until(lambda: 'Watch it' not in page.run('document.body.innerText'))

  start(page)
  page.shows('of 400, ')
  first = browser.current_window_handle
  browser.switch_to.new_window('tab')
  other = _Page(browser, url)
  start(other)
  other.shows('Waiting until the videos of other people are tracked')
  stop(other)
  browser.close()
  browser.switch_to.window(first)
  page.shows('of 400, ')
  stop(page)


def test_the_content_of_a_file_tells_its_format(page, url, browser, tmp_path):
  mp4.write(tmp_path / 'a.mp4', CLIP, 10.0)
  for name in 'a.mts', 'b.VOB', 'c.mjpeg', 'no_suffix':
    page = _Page(browser, url)
    page.open((tmp_path / 'a.mp4').rename(tmp_path / name))
    page.shows('Click beside a corner')
    (tmp_path / name).rename(tmp_path / 'a.mp4')


def test_warnings_are_shown_to_who_causes_them(page, tmp_path):
  odd_videos.write_wide_pixels(tmp_path / 'wide.mp4', 2)
  page.open(tmp_path / 'wide.mp4')
  page.shows('wide.mp4 has pixels that are not square')
  page.shows('Click beside a corner')
  text = page.run('document.body.innerText')
  assert f'{os.sep}wide.mp4' not in text


def test_what_is_wrong_is_one_line(page, tmp_path):
  path = tmp_path / 'text.mp4'
  path.write_text('no video')
  page.open(path)
  page.shows('cannot read text.mp4')
  assert 'Mark what to track' not in page.run('document.body.innerText')


def test_nothing_comes_from_elsewhere(page, url):
  page.shows('Open a video')
  loaded = page.run("performance.getEntriesByType('resource')")
  assert loaded and all(entry['name'].startswith(url) for entry in loaded)


def test_temporary_files_go_when_a_signal_ends_the_program():
  # Imported late: importing Gradio takes seconds in each of pytest's processes.
  from experiments import app

  with pytest.raises(KeyboardInterrupt):
    with app.temporary_files_in_one_folder() as folder:
      with tempfile.NamedTemporaryFile(delete=False) as file:
        assert os.path.dirname(file.name) == folder
      signal.raise_signal(signal.SIGTERM)
  assert not os.path.exists(folder) and os.path.isdir(tempfile.gettempdir())
  assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
