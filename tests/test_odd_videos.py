import itertools
import os
import time

import av
import numpy as np
import pytest

from tests import odd_videos
from vidcolor import errors
from vidcolor.video import decoding

_LEVELS = list(odd_videos.LEVELS)


def _read(path):
  """Returns the levels of a video's frames, which must be upright."""
  return [odd_videos.level_of(frame) for frame in decoding.read_frames(path)]


def _times(path):
  return [round(frame.time, 3) for frame in decoding.decode_frames(path)]


def _first(path):
  return next(decoding.read_frames(path))


_QUIET_HEVC = {'x265-params': 'log-level=none'}
_WHOLE = {
    'alpha.mov': {'codec': 'qtrle', 'pix_fmt': 'argb'},
    'alpha.webm': {'codec': 'libvpx-vp9', 'pix_fmt': 'yuva420p'},
    'clip.avi': {'codec': 'mpeg4', 'options': {'bf': '2'}},
    'fragments.mp4': {'container': {'movflags': 'frag_keyframe+empty_moov'}},
    'full_chroma.mkv': {'pix_fmt': 'yuv444p'},
    'grey.mkv': {'codec': 'ffv1', 'pix_fmt': 'gray'},
    'hevc.mkv': {'codec': 'libx265', 'options': _QUIET_HEVC},
    'live.mkv': {'container': {'live': '1'}},
    'motion.gif': {'codec': 'gif', 'pix_fmt': 'rgb8'},
    'pictures.avi': {'codec': 'mjpeg', 'pix_fmt': 'yuvj420p'},
    'prores.mov': {'codec': 'prores_ks', 'pix_fmt': 'yuv422p10le'},
    'raw.h264': {},
    'raw.hevc': {'codec': 'libx265', 'options': _QUIET_HEVC},
    'ten_bits.mkv': {'pix_fmt': 'yuv420p10le'},
    'transport.ts': {},
}


@pytest.mark.parametrize('name', _WHOLE)
def test_every_kind_decodes_to_the_frames_written(tmp_path, name):
  odd_videos.write(tmp_path / name, **_WHOLE[name])
  assert _read(tmp_path / name) == _LEVELS
  assert _first(tmp_path / name).shape == (48, 64, 3)
  times = _times(tmp_path / name)
  assert times[0] == 0
  # Of a raw stream without a rate, FFmpeg takes it to be 25 a second.
  assert set(np.diff(times).round(3)) <= {0.08, 0.04}


@pytest.mark.parametrize('degrees', [0, 90, 180, 270])
@pytest.mark.parametrize('hflip', [False, True])
@pytest.mark.parametrize('vflip', [False, True])
def test_turned_and_flipped_video_is_upright(tmp_path, degrees, hflip, vflip):
  path = tmp_path / 'a.mp4'
  odd_videos.write_rotated(path, degrees, hflip, vflip)
  assert _read(path) == _LEVELS
  assert _first(path).shape == (48, 64, 3)
  thumbnail = decoding.Converter().thumbnail(next(decoding.decode_frames(path)))
  assert odd_videos.level_of(thumbnail) == _LEVELS[0]


def test_odd_sides(tmp_path):
  frames = [odd_videos.picture(level, 47, 63) for level in _LEVELS]
  for name, codec in (('a.mkv', 'ffv1'), ('a.webm', 'libvpx-vp9')):
    odd_videos.write(tmp_path / name, frames, codec=codec)
    assert _read(tmp_path / name) == _LEVELS
    assert _first(tmp_path / name).shape == (47, 63, 3)


def test_interlaced_video_loses_its_comb(tmp_path):
  odd_videos.write_interlaced(tmp_path / 'a.mp4')
  frames = [
      frame.astype(int) for frame in decoding.read_frames(tmp_path / 'a.mp4')
  ]
  assert len(frames) == 6
  assert _times(tmp_path / 'a.mp4') == [0, 0.08, 0.16, 0.24, 0.32, 0.4]
  for index, frame in enumerate(frames):
    combed = odd_videos.interlaced_frame(index).astype(int)
    # Neighbouring lines show one time; before, they showed two.
    comb = np.abs(np.diff(combed, axis=0)).mean()
    assert np.abs(np.diff(frame, axis=0)).mean() < comb / 4
    # It is that of the bottom field, which came first.
    first = combed[1::2].repeat(2, 0)
    assert np.abs(frame - first)[4:-4].mean() < 8


@pytest.mark.parametrize('is_bt709', [False, True])
@pytest.mark.parametrize('is_full', [False, True])
def test_colors_are_as_tagged(tmp_path, is_bt709, is_full):
  rgb = (200, 30, 60)
  odd_videos.write_colored(
      tmp_path / 'a.mp4', rgb, is_bt709=is_bt709, is_full=is_full
  )
  color = _first(tmp_path / 'a.mp4').mean((0, 1))
  np.testing.assert_allclose(color, rgb, atol=4)


@pytest.mark.parametrize(
    'height,width,is_bt709', [(576, 720, False), (720, 1280, True)]
)
def test_untagged_colors_go_by_size(tmp_path, height, width, is_bt709):
  rgb = (200, 30, 60)
  odd_videos.write_colored(
      tmp_path / 'a.mp4',
      rgb,
      is_bt709=is_bt709,
      is_full=False,
      is_tagged=False,
      height=height,
      width=width,
  )
  color = _first(tmp_path / 'a.mp4').mean((0, 1))
  np.testing.assert_allclose(color, rgb, atol=4)


def test_high_dynamic_range_is_not_washed_out(tmp_path):
  # By ST 2084, 58 % of the code is reference white, 38 % a tenth of that.
  shown = []
  for code in (0, 97, 148, 200):
    odd_videos.write_hdr(tmp_path / 'a.mp4', code)
    shown.append(_first(tmp_path / 'a.mp4').mean())
  dark = 255 * 0.13 ** (1 / 2.4)
  np.testing.assert_allclose(shown, [0, dark, 250, 255], atol=8)


@pytest.mark.parametrize(
    'ratio,shape', [(2, (24, 64, 3)), (0.5, (48, 32, 3)), (40, (48, 64, 3))]
)
def test_pixels_become_square(tmp_path, ratio, shape):
  odd_videos.write_wide_pixels(tmp_path / 'a.mp4', ratio)
  assert _first(tmp_path / 'a.mp4').shape == shape
  assert _read(tmp_path / 'a.mp4') == _LEVELS


def test_size_that_changes(tmp_path):
  path = tmp_path / 'a.h264'
  odd_videos.write_changing_size(path, [(48, 64), (24, 32), (96, 128)])
  assert _read(path) == 3 * _LEVELS
  assert {frame.shape for frame in decoding.read_frames(path)} == {(48, 64, 3)}
  odd_videos.write_changing_size(path, [(48, 64), (64, 48)])
  frames = decoding.read_frames(path)
  head = [odd_videos.level_of(next(frames)) for _ in _LEVELS]
  assert head == _LEVELS
  with pytest.raises(errors.UserError, match='beyond 0.3 s: its picture cha'):
    next(frames)


def test_clocks_that_jump(tmp_path):
  path = tmp_path / 'a.nut'
  odd_videos.write_clock(path, [0, 80, 160, 200_000_000, 200_000_080])
  steps = np.diff(_times(path))
  np.testing.assert_allclose(steps, [0.08, 0.08, 0.04, 0.08], atol=0.041)
  assert len(list(decoding.read_frames(path, frames_per_second=10.0))) < 6
  odd_videos.write_clock(path, [-500, -420, -340, -260])
  assert _times(path) == [0, 0.08, 0.16, 0.24]
  # A pause of nine seconds is one.
  odd_videos.write_clock(path, [0, 80, 9080, 9160])
  assert _times(path) == [0, 0.08, 9.08, 9.16]
  assert len(list(decoding.read_frames(path, frames_per_second=2.0))) == 19


def test_clock_set_back(tmp_path):
  odd_videos.write_clock_set_back(tmp_path / 'a.ts')
  assert _read(tmp_path / 'a.ts') == 2 * _LEVELS
  np.testing.assert_allclose(np.diff(_times(tmp_path / 'a.ts')), 0.08)


def test_empty_packet_ends_nothing(tmp_path):
  path = tmp_path / 'a.nut'
  stamps = [0, 80, 160, 240, 320]
  odd_videos.write_clock(path, stamps, codec='mpeg4', empty=[2])
  assert _times(path) == [0, 0.08, 0.24, 0.32]


def test_largest_of_several_videos_is_read(tmp_path):
  odd_videos.write_two_streams(tmp_path / 'a.mp4')
  assert _first(tmp_path / 'a.mp4').shape == (48, 64, 3)
  assert _read(tmp_path / 'a.mp4') == _LEVELS


def test_video_cut_out_of_a_stream_starts_at_its_first_good_frame(tmp_path):
  path = tmp_path / 'a.ts'
  options = {'g': '4', 'keyint_min': '4', 'bf': '0'}
  odd_videos.write(path, options=options)
  whole = path.read_bytes()
  with av.open(path) as container:
    second = next(itertools.islice(container.demux(video=0), 1, None)).pos
  path.write_bytes(whole[second:])
  assert _read(path) == _LEVELS[4:]


def _no_video(tmp_path):
  odd_videos.write_audio(tmp_path / 'sound.mp4')
  odd_videos.write_cover(tmp_path / 'cover.mp4')
  odd_videos.write_claiming_size(tmp_path / 'vast.mp4', 16383, 16383)
  jpeg = {'codec': 'mjpeg', 'pix_fmt': 'yuvj420p', 'file_format': 'image2'}
  picture = [odd_videos.picture(100)]
  odd_videos.write(tmp_path / 'picture.mp4', picture, **jpeg)
  odd_videos.write(tmp_path / 'b.ts')
  playlist = '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nb.ts\n'
  (tmp_path / 'playlist.mp4').write_text(playlist)
  (tmp_path / 'list.mp4').write_text('ffconcat version 1.0\nfile b.ts\n')
  (tmp_path / 'page.mp4').write_text('<!DOCTYPE html><html></html>')
  (tmp_path / 'folder.mp4').mkdir()
  (tmp_path / 'empty.mp4').touch()


_REASONS = {
    'sound.mp4': 'it holds no video',
    'cover.mp4': 'it holds no video',
    'vast.mp4': 'it claims 16383 x 16383 pixels',
    'picture.mp4': 'not a video file',
    'playlist.mp4': 'Invalid data|not a video file',
    'list.mp4': 'not a video file',
    'page.mp4': 'Invalid data|not a video file',
    'folder.mp4': 'Is a directory',
    'empty.mp4': 'Invalid data',
    'missing.mp4': 'No such file',
}


def test_no_video(tmp_path):
  _no_video(tmp_path)
  for name, reason in _REASONS.items():
    message = f'cannot read {tmp_path}/{name}: .*({reason})'
    with pytest.raises(errors.UserError, match=message):
      list(decoding.decode_frames(tmp_path / name))


def test_no_permission(tmp_path):
  odd_videos.write(tmp_path / 'a.mp4')
  (tmp_path / 'a.mp4').chmod(0)
  if os.access(tmp_path / 'a.mp4', os.R_OK):
    pytest.skip('the superuser may read every file')
  with pytest.raises(errors.UserError, match='a.mp4: Permission denied'):
    list(decoding.decode_frames(tmp_path / 'a.mp4'))


def test_addresses(tmp_path):
  path = tmp_path / 'a.mp4'
  odd_videos.write(path)
  assert _read(f'file://{path}') == _LEVELS
  for address, reason in (
      (f'file://{path}.mp4', 'No such file'),
      ('nonsense://a.mp4', 'Protocol not known'),
  ):
    with pytest.raises(errors.UserError, match=f'read {address}: {reason}'):
      list(decoding.decode_frames(address))


def test_names_are_no_addresses(tmp_path, monkeypatch):
  name = 'concat:x%03d?.mp4'
  odd_videos.write(tmp_path / 'a.mp4')
  (tmp_path / 'a.mp4').rename(tmp_path / name)
  monkeypatch.chdir(tmp_path)
  assert _read(name) == _LEVELS


def test_4k_shrinks(tmp_path):
  frame = odd_videos.picture(100, 2160, 3840)
  options = {'preset': 'ultrafast'}
  odd_videos.write(tmp_path / 'a.mp4', [frame] * 3, options=options)
  frames = list(decoding.read_frames(tmp_path / 'a.mp4', short_side=256))
  assert [frame.shape for frame in frames] == [(256, 455, 3)] * 3
  assert odd_videos.level_of(frames[0]) == 100


def test_thumbnails_are_averages(tmp_path):
  frame = odd_videos.picture(120, 96, 192)
  frame[48::2] = 40
  odd_videos.write(tmp_path / 'a.mp4', [frame] * 2, options={'qp': '4'})
  thumbnail = decoding.Converter().thumbnail(
      next(decoding.decode_frames(tmp_path / 'a.mp4'))
  )
  assert thumbnail.shape == (48, 48, 3)
  assert odd_videos.level_of(thumbnail) == 80


def test_frames_that_refer_to_damage_are_not_yielded(tmp_path):
  path = tmp_path / 'a.mkv'
  texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
  frames = [np.roll(texture, 2 * i, 1) for i in range(24)]
  options = {'bf': '2', 'g': '24'}
  odd_videos.write(path, frames, codec='mpeg4', options=options)
  whole = list(decoding.read_frames(path))
  with av.open(path) as container:
    packets = [bytes(packet) for packet in container.demux(video=0)]
  # Frame 12, which frames 10 and 11 refer to and the decoder gives after them.
  middle = len(packets[10]) // 2
  damaged = packets[10][:middle] + bytes(30) + packets[10][middle + 30 :]
  path.write_bytes(path.read_bytes().replace(packets[10], damaged))
  read = []
  with pytest.raises(errors.UserError, match='beyond 0.7 s: it is damaged'):
    for frame in decoding.read_frames(path):
      read.append(frame)
  np.testing.assert_array_equal(read, whole[:10])


def test_damaged_files_decode_or_say_why(tmp_path, caplog, capfd):
  paths = odd_videos.write_damaged(tmp_path, 200)
  assert len(paths) == 200
  capfd.readouterr()
  counts = {'whole': 0, 'in part': 0, 'not': 0}
  for path in paths:
    start, last = time.monotonic(), -1.0
    try:
      for frame in decoding.decode_frames(path):
        assert 0 < frame.time - last <= 11
        last = frame.time
      counts['whole'] += 1
    except errors.UserError as error:
      assert str(path) in str(error) and '\n' not in str(error)
      counts['in part' if last >= 0 else 'not'] += 1
    assert time.monotonic() - start < 5
  assert min(counts.values()) > 20, counts
  assert not caplog.records
  assert capfd.readouterr() == ('', '')


@pytest.mark.slow
def test_damage_is_the_same_for_the_same_seed(tmp_path):
  contents = []
  for folder, seed in (('a', 1), ('b', 1), ('c', 2)):
    (tmp_path / folder).mkdir()
    paths = odd_videos.write_damaged(tmp_path / folder, 60, seed)
    contents.append([path.read_bytes() for path in paths])
  assert contents[0] == contents[1] != contents[2]


@pytest.mark.slow
def test_real_clips_decode_whole(shared_dir):
  for path in sorted((shared_dir / 'clips').glob('*.mp4'))[::60]:
    with av.open(path) as container:
      count = sum(1 for _ in container.decode(video=0))
    assert sum(1 for _ in decoding.decode_frames(path)) == count
