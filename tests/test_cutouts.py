"""Objects on a transparent ground, read back by other readers."""

import av
import numpy as np
from PIL import Image
import pytest

from tests import tiny
from vidcolor import cutouts
from vidcolor import errors
from vidcolor.video import mp4
from vidcolor.video import video_source
from vidcolor.video import webm

CLIP, IS_SQUARE = tiny.red_square()


def _read(path):
  """Returns times and RGBA frames. FFmpeg's own decoder leaves out alpha."""
  with av.open(str(path)) as container:
    stream = container.streams.video[0]
    decoder = av.CodecContext.create('libvpx-vp9', 'r')
    return [
        (frame.time, frame.to_ndarray(format='rgba'))
        for packet in container.demux(stream)
        for frame in decoder.decode(packet)
    ]


def test_pictures_and_film_show_the_objects_alone(tmp_path):
  path = tmp_path / 'a b.v2.mp4'
  mp4.write(path, CLIP, 10.0)
  video = video_source.VideoSource(path)
  frames = list(video)
  with cutouts.open_cutouts(tmp_path, video) as write:
    for number, (frame, mask) in enumerate(zip(frames, IS_SQUARE, strict=True)):
      write(number, frame, mask)
  film = _read(tmp_path / 'cutouts.webm')
  assert [time for time, _ in film] == pytest.approx(
      [frame.seconds for frame in frames], abs=1e-3
  )
  for number, frame in enumerate(frames):
    mask = IS_SQUARE[number]
    picture = Image.open(tmp_path / f'cutouts/a b.v2/{number:05d}.png')
    assert picture.mode == 'RGBA'
    rgba = np.asarray(picture)
    np.testing.assert_array_equal(rgba[..., 3] > 127, mask)
    np.testing.assert_array_equal(rgba[mask][:, :3], frame.rgb[mask])
    assert not rgba[-10:].any()  # Far off the object.
    shown = film[number][1]
    alpha = shown[..., 3] > 127
    assert (alpha & mask).sum() / (alpha | mask).sum() > 0.97
    error = shown[mask][:, :3].astype(int) - frame.rgb[mask]
    assert abs(error).mean() < 12


def test_edges_are_soft_and_have_no_fringe_of_the_ground():
  frame = np.full((40, 60, 3), (0, 255, 0), np.uint8)
  is_object = np.zeros((40, 60), bool)
  is_object[10:30, :20] = True  # At the edge of the frame as well.
  frame[is_object] = 200, 10, 90
  rgba = cutouts.cut_out(frame, is_object)
  row = rgba[20]
  assert row[:20, 3].tolist() == 19 * [255] + [191]
  assert row[20:, 3].tolist() == [64] + 39 * [0]
  # However the picture is made smaller, nothing green comes in.
  np.testing.assert_array_equal(row[:28, :3], [[200, 10, 90]] * 28)
  assert not rgba[20, 29:].any() and not rgba[:, :, 1].max() > 10


def test_a_frame_without_objects_is_transparent():
  rgba = cutouts.cut_out(CLIP[0], np.zeros_like(IS_SQUARE[0]))
  assert rgba.shape == (*CLIP[0].shape[:2], 4) and not rgba.any()


def test_odd_sides_and_times_that_are_the_same(tmp_path):
  rgba = np.full((47, 63, 4), 200, np.uint8)
  path = tmp_path / 'a: b.webm'
  with webm.open_webm(path) as write:
    for seconds in (0.0, 0.5, 0.5):
      write(rgba, seconds)
  assert [time for time, _ in _read(path)] == [0, 0.5, 0.501]
  assert _read(path)[0][1].shape == rgba.shape


def test_nothing_is_half_written(tmp_path):
  mp4.write(tmp_path / 'a.mp4', CLIP, 10.0)
  video = video_source.VideoSource(tmp_path / 'a.mp4')
  with pytest.raises(errors.UserError, match='no more'):
    with cutouts.open_cutouts(tmp_path, video) as write:
      write(0, next(iter(video)), IS_SQUARE[0])
      raise errors.UserError('no more')
  files = [path.name for path in tmp_path.rglob('*') if path.is_file()]
  assert files == ['a.mp4']
