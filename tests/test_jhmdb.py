import json

import numpy as np
from PIL import Image
import pytest
from scipy import io

from tests import leftovers
from vidcolor import errors
from vidcolor.benchmarks import jhmdb
from vidcolor.benchmarks.jhmdb import data as jhmdb_data
from vidcolor.tracking import baselines
from vidcolor.video import decoding

# On a grid in a box of 60 by 80 pixels: 0.6 times its diagonal is 60.
_POSE = np.array([[10 * (i % 7), 40 * (i // 7)] for i in range(15)]) + 20.0


def _moving(shifts):
  """The pose moved to the right, by as many pixels in each frame."""
  return _POSE + np.array([[[shift, 0]] for shift in shifts])


def _write_video(root, name, joints, num_frames=None):
  frames_dir = root / 'Rename_Images' / name
  frames_dir.mkdir(parents=True)
  for index in range(num_frames or len(joints)):
    frame = np.full((120, 160, 3), (200, 10 * index, 20), np.uint8)
    Image.fromarray(frame).save(frames_dir / f'{index + 1:05}.png')
  path = root / 'joint_positions' / name / 'joint_positions.mat'
  path.parent.mkdir(parents=True)
  io.savemat(path, {'pos_img': joints.T + 1, 'viewpoint': 'E'})


def _write_list(root, name, lines):
  (root / 'splits').mkdir(exist_ok=True)
  (root / 'splits' / name).write_text('\n'.join(lines) + '\n')


@pytest.fixture
def tree(tmp_path):
  root = tmp_path / 'JHMDB'
  _write_video(root, 'walk/a_walk_0', _moving([0, 6, 12.5]), num_frames=4)
  _write_video(root, 'walk/b_walk_0', _moving([0, 0]))
  _write_video(root, 'jump/c_jump_0', _moving([0, 31, 0]))
  walk = ['a_walk_0.avi 2', 'b_walk_0.avi 1']
  _write_list(root, 'walk_test_split1.txt', walk)
  _write_list(root, 'jump_test_split1.txt', ['c_jump_0.avi 2', ''])
  _write_list(
      root, 'walk_test_split2.txt', ['a_walk_0.avi 1', 'b_walk_0.avi 2']
  )
  return root


def test_reads_the_test_videos_of_a_split(tree):
  jump, walk = jhmdb_data.read_jhmdb(tree)
  assert [jump.name, walk.name] == ['jump/c_jump_0', 'walk/a_walk_0']
  np.testing.assert_array_equal(walk.joints, _moving([0, 6, 12.5]))
  assert [s.name for s in jhmdb_data.read_jhmdb(tree, split=2)] == [
      'walk/b_walk_0'
  ]


def test_frames_are_read_when_asked_up_to_the_last_annotated(tree):
  _, walk = jhmdb_data.read_jhmdb(tree)
  assert len(walk.frames) == 3
  assert walk.frames[2].shape == (120, 160, 3)
  assert walk.frames[2][0, 0].tolist() == [200, 20, 20]
  assert [frame[0, 0, 1] for frame in walk.frames[::-1]] == [20, 10, 0]


def test_what_macos_and_jupyter_leave_behind_is_ignored(tree):
  expected = [sequence.name for sequence in jhmdb_data.read_jhmdb(tree)]
  leftovers.leave_in_all_folders(tree)
  found = [sequence.name for sequence in jhmdb_data.read_jhmdb(tree)]
  assert found == expected


def test_reads_the_list_that_the_field_uses(tree):
  (tree / 'splits').rename(tree / 'elsewhere')
  (tree / 'testlist_split1.txt').write_text(
      '/home/x/joint_positions/walk/b_walk_0/joint_positions.mat'
      ' /home/x/Rename_Images/walk/b_walk_0\n'
      'Rename_Images/jump/c_jump_0'
      ' joint_positions/jump/c_jump_0/joint_positions.mat\n'
  )
  names = [sequence.name for sequence in jhmdb_data.read_jhmdb(tree)]
  assert names == ['walk/b_walk_0', 'jump/c_jump_0']


def _remove_lists(root):
  (root / 'splits').rename(root / 'elsewhere')


def _list_what_is_not_there(root):
  _write_list(root, 'walk_test_split1.txt', ['yak_walk_0.avi 2'])


def _spoil_a_list(root):
  (root / 'splits/walk_test_split1.txt').write_bytes(b'\xff\xfe')


def _remove_joints(root):
  (root / 'joint_positions/walk/a_walk_0/joint_positions.mat').unlink()


def _cut_joints(root):
  path = root / 'joint_positions/walk/a_walk_0/joint_positions.mat'
  path.write_bytes(path.read_bytes()[:200])


def _write_other_joints(root):
  path = root / 'joint_positions/walk/a_walk_0/joint_positions.mat'
  io.savemat(path, {'pos_img': np.zeros((2, 14, 3))})


def _save_joints_as_matlab_7_3(root):
  """Writes the header. HDF5 follows it."""
  path = root / 'joint_positions/walk/a_walk_0/joint_positions.mat'
  text = b'MATLAB 7.3 MAT-file, Platform: GLNXA64'
  path.write_bytes(text.ljust(124) + b'\x00\x02IM' + b'\x89HDF' + bytes(512))


def _write_no_joints(root):
  path = root / 'joint_positions/walk/a_walk_0/joint_positions.mat'
  io.savemat(path, {'pos_world': np.zeros((2, 15, 3))})


def _remove_a_frame(root):
  (root / 'Rename_Images/walk/a_walk_0/00002.png').unlink()


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (_remove_lists, r'no test videos in .*_test_split1\.txt'),
        (_list_what_is_not_there, 'no folder .*Rename_Images/walk/yak_walk_0'),
        (_spoil_a_list, 'walk_test_split1.txt'),
        (_remove_joints, 'a_walk_0/joint_positions.mat'),
        (_cut_joints, 'a_walk_0/joint_positions.mat'),
        (_write_other_joints, r'a_walk_0.*pos_img is \[2, 14, 3\]'),
        (_save_joints_as_matlab_7_3, 'a_walk_0/.*mat is a file of MATLAB 7.3:'),
        (_write_no_joints, r'a_walk_0.*pos_img is \[\]'),
        (_remove_a_frame, '00002.png, one of 3'),
    ],
)
def test_says_what_is_wrong_with_a_folder(tree, spoil, message):
  spoil(tree)
  with pytest.raises(errors.UserError, match=message):
    jhmdb_data.read_jhmdb(tree)


def test_says_which_frame_is_cut_short(tree):
  path = tree / 'Rename_Images/walk/a_walk_0/00001.png'
  _, walk = jhmdb_data.read_jhmdb(tree)
  path.write_bytes(path.read_bytes()[:60])
  with pytest.raises(errors.UserError, match=str(path)):
    walk.frames[0]


def test_identity_scores_what_the_hand_computes(tree, tmp_path):
  results = jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  sections = jhmdb.sections(results, tmp_path)
  # Off by 31 and 0 in the jump, by 6 and 12.5 in the walk, of a size of 60.
  assert list(results['overall'].values()) == [0.5, 0.5, 0.75, 0.75, 0.75]
  assert results['overall_without_lost'] == results['overall']
  per_sequence = results['per_sequence']
  assert list(per_sequence['jump/c_jump_0'].values()) == [0.5] * 5
  assert list(per_sequence['walk/a_walk_0'].values()) == [0.5, 0.5, 1, 1, 1]
  assert list(per_sequence['walk/a_walk_0']) == [
      'PCK@0.1', 'PCK@0.2', 'PCK@0.3', 'PCK@0.4', 'PCK@0.5'
  ]  # fmt: skip
  assert list(results['per_joint']) == list(jhmdb_data.JOINTS)
  for row in results['per_joint'].values():
    assert row == results['overall']
  json.dumps(results, allow_nan=False)
  for section in sections:
    for media in section.media:
      frames = list(decoding.read_frames(tmp_path / media.file))
      assert len(frames) == 3


def test_scores_the_predictions_it_wrote(tree, tmp_path):
  results = jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  predictions = tmp_path / 'predictions'
  again = jhmdb.score(predictions, tree, tmp_path)
  assert again == results
  path = predictions / 'walk/a_walk_0/joint_positions.mat'
  np.testing.assert_array_equal(
      io.loadmat(path)['pos_img'], _moving([0, 0, 0]).T + 1
  )


def test_lost_joints_are_wrong_but_for_the_fields_code(tree, tmp_path):
  for sequence in jhmdb_data.read_jhmdb(tree):
    joints = sequence.joints.copy()
    joints[1, :3] = -1
    joints[:, 3] = np.nan
    path = tmp_path / sequence.name / 'joint_positions.mat'
    jhmdb_data.write_joints(path, joints)
  results = jhmdb.score(tmp_path, tree, tmp_path)
  assert results['per_joint']['neck']['PCK@0.5'] == 0.5
  assert results['per_joint']['right shoulder']['PCK@0.5'] == 0
  assert results['overall']['PCK@0.1'] == pytest.approx(12.5 / 15)
  assert results['overall_without_lost']['PCK@0.1'] == 1


def test_joints_that_are_never_in_the_picture_have_no_score(tree, tmp_path):
  joints = _moving([0, 0])
  joints[:, -1] = 60, -5
  for name in 'walk/a_walk_0', 'jump/c_jump_0':
    path = tree / 'joint_positions' / name / 'joint_positions.mat'
    jhmdb_data.write_joints(path, joints)
  results = jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  assert list(results['per_joint']) == list(jhmdb_data.JOINTS[:-1])
  assert results['overall']['PCK@0.1'] == 1


def test_a_video_of_one_frame_has_no_score_and_no_rank(tree, tmp_path):
  path = tree / 'joint_positions/walk/a_walk_0/joint_positions.mat'
  io.savemat(path, {'pos_img': _moving([0])[0].T + 1})  # As MATLAB does.
  results = jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  sections = jhmdb.sections(results, tmp_path)
  row = results['per_sequence']['walk/a_walk_0']
  assert np.isnan(list(row.values())).all()
  assert results['overall'] == results['per_sequence']['jump/c_jump_0']
  for media in sections[0].media:
    assert 'jump/c_jump_0' in media.caption
  (tree / 'splits/jump_test_split1.txt').unlink()
  results = jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  sections = jhmdb.sections(results, tmp_path)
  assert np.isnan(list(results['overall'].values())).all()
  assert not sections[0].media


def test_reads_the_published_lists(shared_dir, tmp_path, monkeypatch):
  """Of 928 clips in 21 classes, 268, 270 and 265 are for testing."""
  (tmp_path / 'splits').symlink_to(shared_dir / 'jhmdb-sample/splits-published')
  named = lambda name: jhmdb_data.JointSequence(name, [], _moving([0]), [])
  monkeypatch.setattr(jhmdb_data, '_find_sequence', lambda _, name: named(name))
  for split, number in (1, 268), (2, 270), (3, 265):
    found = [s.name for s in jhmdb_data.read_jhmdb(tmp_path, split=split)]
    assert len(set(found)) == len(found) == number
    assert len({name.split('/')[0] for name in found}) == 21
  # The clip whose frames are at hand, as its published list names it.
  assert 'catch/Goal_Keeping_Tips_catch_f_cm_np1_fr_med_2' in found


def test_identitys_score_on_a_published_clip(shared_dir):
  """The camera pans."""
  results = jhmdb.evaluate(
      baselines.Identity(), shared_dir / 'jhmdb-sample', split=3
  )
  np.testing.assert_allclose(
      list(results['overall'].values()),
      [0.0017, 0.0154, 0.0359, 0.0410, 0.0530],
      atol=5e-5,
  )


def test_feeds_the_tracker_what_it_is_told(tree, tmp_path):
  told, fed = [], []

  class Tracker(baselines.Identity):

    def track_points(self, frames, points):
      fed.append(frames)
      return super().track_points(frames, points)

  def frames_of(sequence):
    told.append([np.zeros((4, 4, 3), np.uint8)] * len(sequence.joints))
    return told[-1]

  jhmdb.evaluate(Tracker(), tree, tmp_path, frames_of=frames_of)
  assert list(map(id, fed)) == list(map(id, told)) and len(fed) == 2


@pytest.mark.parametrize(
    ('num_frames', 'message'),
    [(None, 'joint_positions.mat'), (2, 'is for 2 frames: track the 3')],
)
def test_says_which_prediction_is_wrong(tree, tmp_path, num_frames, message):
  jhmdb.evaluate(baselines.Identity(), tree, tmp_path)
  path = tmp_path / 'predictions/walk/a_walk_0/joint_positions.mat'
  path.unlink()
  if num_frames:
    jhmdb_data.write_joints(path, _moving(num_frames * [0]))
  with pytest.raises(errors.UserError, match=f'walk/a_walk_0.*{message}'):
    jhmdb.score(tmp_path / 'predictions', tree, tmp_path)
