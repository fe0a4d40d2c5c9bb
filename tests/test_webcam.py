"""The camera of the web page, without a browser: test_app.py has one."""

import base64
import io

import numpy as np
from PIL import Image
import pytest

from tests import tiny
import vidcolor

pytestmark = pytest.mark.slow

CLIP, _ = tiny.red_square()


@pytest.fixture(scope='module')
def webcam():
  # Imported late: importing Gradio takes seconds in each of pytest's processes.
  from experiments import webcam

  return webcam


@pytest.fixture(scope='module')
def webcams(webcam):
  return webcam.Webcams(vidcolor.load_pretrained(preset='fast').propagator)


def _jpeg(rgb):
  data = io.BytesIO()
  Image.fromarray(rgb).save(data, 'JPEG')
  return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize(
    ('act', 'request_', 'message'),
    [
        ('step', {'picture': 'a'}, 'not a JPEG'),
        ('step', {'picture': base64.b64encode(b'GIF89a').decode()}, 'not a JP'),
        ('step', {'person': 'new', 'picture': _jpeg(CLIP[0])}, 'begin again'),
        ('begin', {'box': [9, 9, 9, 9], 'picture': _jpeg(CLIP[0])}, 'the box'),
        (
            'begin',
            {'picture': _jpeg(np.zeros((8, 2000, 3), np.uint8))},
            'at most 640',
        ),
    ],
)
def test_what_is_wrong_is_one_line(webcams, act, request_, message):
  answer = getattr(webcams, act)(request_)
  assert message in answer['error']


def test_people_are_tracked_apart_and_few_at_a_time(webcams, webcam):
  begin = lambda person: webcams.begin(
      {'person': person, 'picture': _jpeg(CLIP[0]), 'box': [6, 16, 43, 53]}
  )
  step = lambda person: webcams.step(
      {'person': person, 'picture': _jpeg(CLIP[1])}
  )
  first = begin('0')
  picture = Image.open(io.BytesIO(base64.b64decode(first['picture'])))
  assert picture.size == CLIP.shape[2:0:-1] and first['visible']
  for person in range(1, webcam._MAX_PEOPLE):
    begin(str(person))
  assert 'error' not in step('0')
  begin('one more')
  assert 'begin again' in step('1')['error']
  assert 'error' not in step('0')
