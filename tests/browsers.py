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
    profile: pathlib.Path, downloads: pathlib.Path
) -> Iterator[webdriver.Chrome]:
  """Yields a browser that knows no other machine; skips where there is none."""
  binary, driver = shutil.which('chromium'), shutil.which('chromedriver')
  if not (binary and driver):
    pytest.skip("no chromium with chromedriver (Debian's chromium-driver)")
  options = webdriver.ChromeOptions()
  options.binary_location = binary
  for flag in _FLAGS.split():
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
