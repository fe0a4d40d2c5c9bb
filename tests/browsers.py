"""Headless Chromium, as Debian's chromium-driver has it."""

from collections.abc import Iterator
import contextlib
import pathlib
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome import service

_FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
"""


@contextlib.contextmanager
def chromium(
    profile: pathlib.Path,
    downloads: pathlib.Path,
    camera: pathlib.Path | None = None,
) -> Iterator[webdriver.Chrome]:
  """Yields a browser that knows no other machine; skips where there is none.

  Args:
    profile: A folder of its own.
    downloads: The folder of what is downloaded.
    camera: A Y4M or MJPEG file, which its camera shows again and again. None is
      a browser without a camera.
  """
  binary, driver = shutil.which('chromium'), shutil.which('chromedriver')
  if not (binary and driver):
    pytest.skip("no chromium with chromedriver (Debian's chromium-driver)")
  options = webdriver.ChromeOptions()
  options.binary_location = binary
  flags = _FLAGS.split()
  if camera:
    flags += [
        '--use-fake-ui-for-media-stream',
        '--use-fake-device-for-media-stream',
        f'--use-file-for-fake-video-capture={camera}',
    ]
  for flag in flags:
    options.add_argument(flag)
  options.add_argument(
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'
  )
  options.add_argument(f'--user-data-dir={profile}')
  preferences = {
      'download.default_directory': str(downloads),
      # Lets a page have several, by the values of Chromium's ContentSetting.
      'profile.default_content_setting_values.automatic_downloads': 1,
  }
  options.add_experimental_option('prefs', preferences)
  options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
  browser = webdriver.Chrome(options, service.Service(driver))
  try:
    yield browser
  finally:
    browser.quit()
