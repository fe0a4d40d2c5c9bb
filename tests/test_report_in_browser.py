"""The report as a reader's browser shows it."""

import cv2
import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import wait

from tests import browsers
from tests import tiny
from vidcolor.benchmarks import davis
from vidcolor.render import report
from vidcolor.tracking import baselines
from vidcolor.video import mp4

pytestmark = pytest.mark.slow

_HOSTILE = (
    '"\'>&lt;<script>window.harmed = true</script>'
    '<img src=x onerror="window.harmed = true">'
)
_WIDTH, _HEIGHT = 96, 64


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
  profile = tmp_path_factory.mktemp('profile')
  with browsers.chromium(profile, profile / 'downloads') as browser:
    yield browser


@pytest.fixture(scope='module')
def page(browser, tmp_path_factory):
  """The browser with a report of every kind of thing open in it."""
  folder = tmp_path_factory.mktemp('report')
  frames = np.zeros((36, _HEIGHT, _WIDTH, 3), np.uint8)
  for t, frame in enumerate(frames):
    frame[:, 2 * t : 2 * t + 20] = 255
  mp4.write(folder / 'film.mp4', frames, 12.0)
  cv2.imwrite(str(folder / 'picture.png'), frames[0])
  cv2.imwrite(str(folder / 'strip.png'), np.hstack(frames[:5]))
  rows = {
      'seq-10': {'J': 0.25, 'frames': 80, 'F': 0.5},
      'seq-9': {'J': 1e-4, 'frames': 9, 'F': 0.5},
      _HOSTILE: {'J': -0.5, 'frames': 100, 'F': 0.1},
      'seq-1': {'J': float('nan'), 'frames': 80},
  }
  table = report.Table(rows, _HOSTILE, summary={'mean': {'J': 0.7}})
  many = {'one': {f'column {index}': index for index in range(30)}}
  media = [
      report.Media('film.mp4', _HOSTILE),
      report.Media('picture.png', _HOSTILE),
      report.Media('strip.png', 'A strip.'),
  ]
  report.write_page(
      folder / 'report.html',
      title=_HOSTILE,
      sections=[
          report.Section(_HOSTILE, _HOSTILE, table, media),
          report.Section('Wide', table=report.Table(many, 'Wide.')),
      ],
  )
  for item in media:
    (folder / item.file).unlink()
  browser.get((folder / 'report.html').as_uri())
  return browser


def _run(page, expression):
  return page.execute_script(f'return {expression}')


def test_films_play(page):
  film = page.find_element(By.TAG_NAME, 'video')
  page.execute_script('arguments[0].scrollIntoView()', film)
  plays = lambda _: film.get_property('currentTime') > 0.2
  wait.WebDriverWait(page, 20).until(plays)
  assert film.get_property('readyState') >= 2
  assert film.get_property('videoWidth') == _WIDTH
  assert film.get_property('duration') == pytest.approx(3, abs=0.1)


def test_pictures_load(page):
  widths = _run(page, '[...document.images].map(i => i.naturalWidth)')
  assert widths == [_WIDTH, 5 * _WIDTH]


def test_strips_have_a_row_of_their_own(page):
  wide = page.find_elements(By.CSS_SELECTOR, 'figure.wide')
  assert [figure.text for figure in wide] == ['A strip.']


def _column(page, index):
  """Cells of the first table, from the top."""
  rows = page.find_elements(By.CSS_SELECTOR, 'table')[0].find_elements(
      By.CSS_SELECTOR, 'tbody tr'
  )
  return [row.find_elements(By.XPATH, '*')[index].text for row in rows]


def _sorted_by(page):
  heads = page.find_elements(By.CSS_SELECTOR, 'th[aria-sort]')
  return [(head.text, head.get_attribute('aria-sort')) for head in heads]


def test_headers_sort(page):
  page.refresh()
  names = ['mean', 'seq-10', 'seq-9', _HOSTILE, 'seq-1']
  assert _column(page, 0) == names and not _sorted_by(page)
  name, score, frames, other, *_ = page.find_elements(By.TAG_NAME, 'th')

  frames.click()
  assert _column(page, 2) == ['', '9', '80', '80', '100']
  assert _column(page, 0)[2:4] == ['seq-10', 'seq-1']
  assert _sorted_by(page) == [('frames', 'ascending')]
  frames.click()
  assert _column(page, 2) == ['', '100', '80', '80', '9']
  assert _column(page, 0)[2:4] == ['seq-10', 'seq-1']
  assert _sorted_by(page) == [('frames', 'descending')]

  # What is missing goes last either way; another column begins ascending.
  score.find_element(By.TAG_NAME, 'button').send_keys(Keys.ENTER)
  assert _column(page, 1) == ['0.700', '-0.500', '0.000', '0.250', '']
  assert _sorted_by(page) == [('J', 'ascending')]
  score.find_element(By.TAG_NAME, 'button').send_keys(Keys.SPACE)
  assert _column(page, 1) == ['0.700', '0.250', '0.000', '-0.500', '']

  # Equal ones keep the order they had, and numbers in names count.
  other.click()
  assert _column(page, 0) == ['mean', _HOSTILE, 'seq-10', 'seq-9', 'seq-1']
  name.click()
  assert _column(page, 0) == ['mean', _HOSTILE, 'seq-1', 'seq-9', 'seq-10']


def test_other_tables_stay_as_they_are(page):
  page.find_elements(By.TAG_NAME, 'th')[0].click()
  (table,) = page.find_elements(By.TAG_NAME, 'table')[1:]
  assert not table.find_elements(By.CSS_SELECTOR, '[aria-sort]')


def test_hostile_names_are_text(page):
  assert page.title == _HOSTILE
  for selector in ('h1', 'h2', 'p', '.scroll', 'figcaption'):
    shown = page.find_element(By.CSS_SELECTOR, selector).text
    assert _HOSTILE in shown
  assert page.find_element(By.TAG_NAME, 'img').get_attribute('alt') == _HOSTILE
  assert _run(page, 'window.harmed') is None
  assert _run(page, 'document.scripts.length') == 1


def test_nothing_is_fetched_and_nothing_goes_wrong(page):
  page.refresh()
  loaded = _run(page, "performance.getEntriesByType('resource')")
  assert [
      entry['name'] for entry in loaded if entry['name'][:5] != 'data:'
  ] == []
  assert page.get_log('browser') == []


def test_on_a_phone_only_tables_scroll_sideways(page):
  screen = {'width': 360, 'height': 740, 'deviceScaleFactor': 2, 'mobile': True}
  page.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', screen)
  page.refresh()
  assert _run(page, 'innerWidth') == 360
  assert _run(page, 'document.documentElement.scrollWidth') == 360
  table = page.find_elements(By.CLASS_NAME, 'scroll')[1]
  assert table.get_property('scrollWidth') > 1000


def test_the_report_of_an_evaluation_plays_and_sorts(browser, tmp_path):
  results = davis.evaluate(
      baselines.Identity(), tiny.write_davis(tmp_path / 'DAVIS'), tmp_path,
      year=2017,
  )  # fmt: skip
  sections = davis.sections(results, tmp_path)
  report.write_page(tmp_path / 'report.html', title='DAVIS', sections=sections)
  browser.get((tmp_path / 'report.html').as_uri())
  loaded = '[...document.querySelectorAll("video")].map(v => v.readyState)'
  loads = lambda _: min(_run(browser, loaded)) >= 2
  wait.WebDriverWait(browser, 20).until(loads)
  assert len(_run(browser, loaded)) == 2
  *_, table = browser.find_elements(By.TAG_NAME, 'table')
  for _ in range(2):  # Ascending, descending.
    table.find_elements(By.TAG_NAME, 'button')[1].click()
  objects = [
      row.find_elements(By.XPATH, '*')[0].text
      for row in table.find_elements(By.CSS_SELECTOR, 'tbody tr')
  ]
  assert objects == ['dogs_2', 'bear_1', 'dogs_1']  # By J_mean.
