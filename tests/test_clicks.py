"""The picture to click on, in a real browser, shown shrunk and enlarged."""

import base64
import json

import cv2
import numpy as np
import pytest
from selenium.webdriver.common import action_chains
from selenium.webdriver.common.by import By

from experiments.colab import clicks
from tests import browsers
from vidcolor import errors
from vidcolor import prompts

# What a notebook gives to a widget's `render`.
_PAGE = """<!doctype html><body style="margin: 13px 7px"><div id=cell></div>
<script type=module>
const widget = (await import('data:text/javascript;base64,%(module)s')).default;
const values = %(values)s, heard = {};
values.picture = new DataView(
    Uint8Array.from(atob(values.picture), c => c.charCodeAt()).buffer);
window.model = {
  get: (name) => values[name],
  set: (name, value) => { values[name] = value; },
  on: (name, told) => { heard[name] = told; },
  off: () => {},
  save_changes: () => { window.saved = JSON.stringify(values); },
  receive: (name, value) => {
    values[name] = value;
    heard[`change:${name}`]();
  },
};
widget.render({model, el: document.getElementById('cell')});
window.ready = true;
</script>"""


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  folder = tmp_path_factory.mktemp('profile')
  with browsers.chromium(folder, folder / 'downloads') as browser:
    browser.set_window_size(1200, 1000)
    browser.set_script_timeout(20)
    yield browser


def _frame(height, width):
  return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _open(browser, tmp_path, widget, cell_width):
  """Shows the widget in a cell of a notebook; returns its picture."""
  values = {
      'picture': base64.b64encode(widget.picture).decode(),
      'width': widget.width,
      'height': widget.height,
      'points': widget.points,
      'boxes': widget.boxes,
  }
  module = base64.b64encode(str(widget._esm).encode()).decode()
  page = _PAGE % {'module': module, 'values': json.dumps(values)}
  page = page.replace('id=cell', f'id=cell style="width: {cell_width}px"')
  (tmp_path / 'page.html').write_text(page)
  browser.get((tmp_path / 'page.html').as_uri())
  browser.execute_async_script(
      'const done = arguments[0];'
      'const wait = () => window.ready ? done() : setTimeout(wait, 10);'
      'wait();'
  )
  return browser.find_element(By.TAG_NAME, 'svg')


def _mouse(browser):
  return action_chains.ActionChains(browser, duration=20)


def _saved(browser, name):
  return json.loads(browser.execute_script('return window.saved'))[name]


@pytest.mark.parametrize(
    'size, cell_width, shown_width',
    [((960, 1280), 320, 320), ((48, 64), 900, 667), ((300, 200), 900, 333)],
)
def test_clicks_are_in_pixels_of_the_video(
    browser, tmp_path, size, cell_width, shown_width
):
  height, width = size
  # Pictures are sent as they are shrunk, positions are those of the video.
  widget = clicks.ClickWidget(_frame(height // 2, width // 2), size)
  picture = _open(browser, tmp_path, widget, cell_width)
  shown = picture.rect
  assert shown['width'] == pytest.approx(shown_width, abs=1)
  assert shown['height'] / shown['width'] == pytest.approx(height / width, 0.01)
  dx, dy = 61, -40  # From its middle, on the screen.
  _mouse(browser).move_to_element_with_offset(picture, dx, dy).click().perform()
  scale = width / shown['width']
  middle = (width - 1) / 2, (height - 1) / 2
  ((x, y),) = _saved(browser, 'points')
  # The mouse itself is at whole pixels of the screen.
  assert x == pytest.approx(middle[0] + scale * dx, abs=scale + 0.1)
  assert y == pytest.approx(middle[1] + scale * dy, abs=scale + 0.1)


def test_dragging_draws_a_box_from_any_corner(browser, tmp_path):
  widget = clicks.ClickWidget(_frame(480, 640), points=[[5, 5]])
  picture = _open(browser, tmp_path, widget, 320)
  _mouse(browser).move_to_element_with_offset(
      picture, 50, 30
  ).click_and_hold().move_by_offset(-90, -70).release().perform()
  ((x0, y0, x1, y1),) = _saved(browser, 'boxes')
  assert [x1 - x0, y1 - y0] == pytest.approx([180, 140])
  assert [x1, y1] == pytest.approx([419.5, 299.5], abs=2.1)
  assert _saved(browser, 'points') == []
  # What leaves the picture ends at its border.
  _mouse(browser).move_to_element_with_offset(
      picture, 0, 0
  ).click_and_hold().move_by_offset(400, 5).release().perform()
  first, (_, _, x1, _) = _saved(browser, 'boxes')
  assert first == [x0, y0, pytest.approx(first[2]), y1] and x1 == 639
  browser.find_element(By.TAG_NAME, 'button').click()
  assert _saved(browser, 'boxes') == [first]


def test_what_python_sets_is_drawn(browser, tmp_path):
  widget = clicks.ClickWidget(_frame(48, 64), points=[[3, 4], [60, 40]])
  _open(browser, tmp_path, widget, 320)
  drawn = lambda: [
      mark.text for mark in browser.find_elements(By.TAG_NAME, 'text')
  ]
  assert drawn() == ['1', '2']
  browser.execute_script('model.receive("points", [[30, 20]])')
  assert drawn() == ['1']


def test_what_is_marked_is_a_prompt():
  widget = clicks.ClickWidget(_frame(48, 64))
  with pytest.raises(errors.UserError, match='nothing is marked'):
    widget.prompt()
  widget.points = [[3, 4]]
  assert widget.prompt() == prompts.PointPrompt([[3, 4]], 'your points')
  widget.boxes = [[1, 2, 30, 40]]
  assert widget.prompt() == prompts.BoxPrompt([[1, 2, 30, 40]], 'your boxes')


def test_the_picture_is_the_frame():
  frame = np.zeros((48, 64, 3), np.uint8)
  frame[:, 32:, 0] = 255  # Red to the right.
  widget = clicks.ClickWidget(frame, (96, 128))
  shown = cv2.imdecode(np.frombuffer(widget.picture, np.uint8), 1)[..., ::-1]
  assert np.abs(shown.astype(int) - frame).mean() < 3
  assert (widget.height, widget.width) == (96, 128)
