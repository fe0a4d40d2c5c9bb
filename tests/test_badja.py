import json

import numpy as np
from PIL import Image
import pytest

from vidcolor import errors
from vidcolor.benchmarks import badja
from vidcolor.benchmarks.badja import data as badja_data
from vidcolor.benchmarks.badja import metrics as badja_metrics
from vidcolor.tracking import baselines

# Frames are a twentieth of full resolution, 1080 x 1920.
_HEIGHT, _WIDTH = 54, 96
_INDICES = list(badja_data.JOINTS.values())


def _entry(frame, joints, visibility=True):
  every = np.zeros((37, 2), int)
  every[_INDICES] = joints
  is_visible = np.zeros(37, bool)
  is_visible[_INDICES] = visibility
  return {
      'image_path': f'DAVIS/JPEGImages/Full-Resolution/bear/{frame:05}.jpg',
      'segmentation_path': f'DAVIS/Annotations/Full-Resolution/{frame:05}.png',
      'joints': every.tolist(),
      'visibility': is_visible.tolist(),
  }


def _write_davis(root, name='bear', num_frames=6, resolution='480p'):
  """Writes a sequence whose mask has an area of 400 pixels: 20 x 20."""
  for kind in ('JPEGImages', 'Annotations'):
    (root / kind / resolution / name).mkdir(parents=True)
  mask = np.zeros((_HEIGHT, _WIDTH), np.uint8)
  mask[10:30, 10:30] = 1
  mask[10:15, 10:30] = 2  # The rider.
  for t in range(num_frames):
    frame = np.full((_HEIGHT, _WIDTH, 3), 10 * t, np.uint8)
    path = root / 'JPEGImages' / resolution / name / f'{t:05}.jpg'
    Image.fromarray(frame).save(path)
    picture = Image.fromarray(mask)
    picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    picture.save(root / 'Annotations' / resolution / name / f'{t:05}.png')


@pytest.fixture
def tree(tmp_path):
  """All joints move from column 400 to 460 and 500, in rows of their own."""
  _write_davis(tmp_path / 'DAVIS')
  rows = np.arange(20) * 20 + 200
  joints = lambda column: np.stack([rows, np.full(20, column)], axis=-1)
  entries = [
      _entry(1, joints(400)),
      _entry(3, joints(460), np.arange(20) < 10),  # Half are hidden.
      _entry(4, joints(500)),
  ]
  entries[0]['joints'][8] = [0, 0]  # The first one is unknown here.
  (tmp_path / 'joint_annotations').mkdir()
  path = tmp_path / 'joint_annotations/bear.json'
  path.write_text(json.dumps(entries[::-1]))
  return tmp_path


def test_reads_rows_and_columns_at_full_resolution(tree):
  (bear,) = badja_data.read_badja(tree)
  assert bear.annotated.tolist() == [1, 3, 4]
  assert bear.joints.shape == (3, 20, 2)
  assert np.isnan(bear.joints[0, 0]).all()
  # Centers of pixels are at whole coordinates at both resolutions.
  np.testing.assert_allclose(bear.joints[1, 1], [22.525, 10.525])
  assert bear.visible.sum(axis=1).tolist() == [19, 10, 20]
  assert len(bear.frames) == 6 and [m.sum() for m in bear.masks] == 3 * [400]


@pytest.mark.parametrize('joints', ['DAVIS', '.', 'badja', 'BADJA'])
def test_the_joints_are_in_or_beside_the_folder_of_davis(tree, joints):
  (tree / joints).mkdir(exist_ok=True)
  (tree / 'joint_annotations').rename(tree / joints / 'joint_annotations')
  for folder in tree / 'DAVIS', tree / joints:
    (bear,) = badja_data.read_badja(folder)
    assert bear.name == 'bear'


def test_full_resolution_is_the_frames_own(tree):
  for kind in ('JPEGImages', 'Annotations'):
    folder = tree / 'DAVIS' / kind
    (folder / '480p').rename(folder / 'Full-Resolution')
  (bear,) = badja_data.read_badja(tree)
  np.testing.assert_allclose(bear.joints[1, 1], [460, 220])
  with pytest.raises(errors.UserError, match='480p has no sequence of'):
    badja_data.read_badja(tree, resolution='480p')


def test_names_what_it_leaves_out(tree):
  for name in 'camel', 'rs_dog':
    (tree / f'joint_annotations/{name}.json').write_text('[]')
  with pytest.warns(match='480p has no frames of them: camel, rs_dog'):
    (bear,) = badja_data.read_badja(tree)
  assert bear.name == 'bear'


def test_identity_scores_what_the_hand_computes(tree, tmp_path):
  """Joints are off by 3 and 5 pixels; 0.2 times the root of the area is 4."""
  results = badja.evaluate(baselines.Identity(), tree, tmp_path / 'out')
  # One of the ten and of the twenty visible joints was not given.
  expected = {'PCK@0.2': pytest.approx(9 / (9 + 19))}
  assert results['overall'] == results['per_sequence']['bear'] == expected
  again = badja.score(tmp_path / 'out/predictions', tree, tmp_path / 'out')
  assert again == results
  (section,) = badja.sections(results, tmp_path / 'out')
  assert [media.caption for media in section.media] == [
      'The best of all: bear.',
      'The worst of all: bear.',
  ]


def test_a_tracker_gets_the_frames_from_the_first_to_the_last_annotated(tree):
  fed = []

  class Tracker(baselines.Identity):

    def track_points(self, frames, points):
      fed.extend(frames)
      assert len(points) == 19
      return super().track_points(frames, points)

  own = [np.full((1, 1, 3), t, np.uint8) for t in range(6)]
  badja.evaluate(Tracker(), tree, frames_of=lambda _: own)
  assert [frame[0, 0, 0] for frame in fed] == [1, 2, 3, 4]


def test_lost_joints_are_wrong_and_a_sequence_may_have_no_score(tree, tmp_path):
  (bear,) = badja_data.read_badja(tree)
  names = ['00001', '00003', '00004']
  lost = np.full((3, 20, 2), np.nan)
  badja_data.write_annotations(
      tmp_path / 'bear.json',
      badja_data.Annotations(names, lost, np.zeros((3, 20), bool)),
  )
  assert badja.score(tmp_path, tree)['overall'] == {'PCK@0.2': 0}
  path = tree / 'joint_annotations/bear.json'
  path.write_text(json.dumps(json.loads(path.read_text())[-1:]))
  results = badja.evaluate(baselines.Identity(), tree, tmp_path / 'out')
  assert np.isnan(results['overall']['PCK@0.2']) and not results['media']


def _remove_joints(tree):
  (tree / 'joint_annotations/bear.json').unlink()
  (tree / 'joint_annotations').rmdir()


def _spoil_joints(tree):
  (tree / 'joint_annotations/bear.json').write_text('{"joints": 1}')


def _remove_an_annotated_frame(tree):
  for kind, suffix in ('JPEGImages', 'jpg'), ('Annotations', 'png'):
    (tree / 'DAVIS' / kind / f'480p/bear/00003.{suffix}').unlink()


def _leave_the_first_mask_alone(tree):
  for path in (tree / 'DAVIS/Annotations/480p/bear').glob('0000[1-5].png'):
    path.unlink()


def _remove_frames(tree):
  (tree / 'DAVIS/JPEGImages/480p/bear').rename(tree / 'elsewhere')


@pytest.mark.parametrize(
    'spoil, message',
    [
        (_remove_joints, 'no folder .*joint_annotations: give'),
        (_spoil_joints, 'bear.json does not list joints as BADJA does'),
        (_remove_an_annotated_frame, 'has no frame 00003 of bear'),
        (_leave_the_first_mask_alone, 'has no mask of .* of bear'),
        (_remove_frames, '480p has no sequence of .*joint_annotations: give'),
    ],
)
def test_says_what_is_wrong_with_a_folder(tree, spoil, message):
  spoil(tree)
  with pytest.raises(errors.UserError, match=message):
    badja_data.read_badja(tree)


def test_says_which_prediction_is_wrong(tree, tmp_path):
  with pytest.raises(errors.UserError, match='no prediction .*bear.json'):
    badja.score(tmp_path, tree)
  badja_data.write_annotations(
      tmp_path / 'bear.json',
      badja_data.Annotations(
          ['00001'], np.zeros((1, 20, 2)), np.ones((1, 20), bool)
      ),
  )
  with pytest.raises(errors.UserError, match='for other frames: track the 3'):
    badja.score(tmp_path, tree)


def test_distances_are_in_roots_of_the_masks_area():
  truth = np.zeros((3, 2, 2))
  truth[0, 1] = np.nan
  predicted = truth + [[[0, 0]], [[3, 4]], [[0, 1]]]
  distances = badja_metrics.distances_by_area(
      predicted, truth, np.ones((3, 2), bool), np.array([1.0, 100, 25])
  )
  np.testing.assert_array_equal(distances, [[0.5, np.nan], [0.2, np.nan]])
  assert (
      badja_metrics.pck_by_area(distances) == 0
  )  # Less than 0.2, as published.


@pytest.mark.parametrize(
    'folder, names',
    [
        ('davis2016-train', ['bear', 'dog-agility', 'horsejump-low']),
        ('davis2016-dev', ['camel', 'horsejump-high']),
    ],
)
def test_the_published_joints_are_on_the_animals(shared_dir, folder, names):
  with pytest.warns(match='has no frames of them'):
    sequences = badja_data.read_badja(shared_dir / folder)
  assert [sequence.name for sequence in sequences] == names
  for sequence in sequences:
    inside = []
    for joints, mask in zip(sequence.joints, sequence.masks, strict=True):
      joints = joints[np.isfinite(joints).all(axis=-1)]
      x, y = joints.round().astype(int).T
      inside.extend(mask[y, x])
    assert np.mean(inside) > 0.87  # Joints are guessed where they are hidden.


def test_identitys_score_on_the_published_joints(shared_dir):
  """Computed anew, in the coordinates of the file."""
  with pytest.warns(match='has no frames of them'):
    results = badja.evaluate(baselines.Identity(), shared_dir / 'davis2016-dev')
  for name, row in results['per_sequence'].items():
    path = shared_dir / f'badja/joint_annotations/{name}.json'
    first, *others = json.loads(path.read_text())
    correct = []
    for entry in others:
      frame = entry['image_path'].split('/')[-1].replace('jpg', 'png')
      path = shared_dir / f'davis2016-dev/Annotations/480p/{name}/{frame}'
      # One pixel at 480p is 2.25 by 2.25 at full resolution, about.
      area = np.count_nonzero(Image.open(path)) * 1080 * 1920 / 480 / 854
      for index in _INDICES:
        if entry['visibility'][index]:
          off = np.subtract(entry['joints'][index], first['joints'][index])
          correct.append(np.hypot(*off) < 0.2 * area**0.5)
    assert row['PCK@0.2'] == pytest.approx(np.mean(correct))
