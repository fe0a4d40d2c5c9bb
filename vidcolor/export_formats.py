"""Writes tracked objects in the formats of other tools, and as outlines.

result = tracker.track('clip.mp4', boxes=[(120, 80, 310, 260)])
export_formats.export('out', 'clip.mp4', result, ['coco', 'mot'])

An object has no annotation in the frames in which it is lost. The category of
all objects is 'object'. A frame is named as its picture, if the video is a
folder of pictures, else by its number: 00000.jpg, 00001.jpg and so on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import itertools
import json
import os
import pathlib
from typing import NamedTuple
from xml.etree import ElementTree

import cv2
from jaxtyping import Bool, Float, Int, UInt8
import numpy as np
from scipy import ndimage
from scipy.spatial import distance

from vidcolor import contours
from vidcolor import errors
from vidcolor import files
from vidcolor import lazy_sequence
from vidcolor import video_tracker
from vidcolor.render import overlay
from vidcolor.video import video_source

_CATEGORY = 'object'
_SUFFIX = '.jpg'  # Of the pictures that others make from a film.


class TrackedObject(NamedTuple):
  """An object in a frame.

  Attributes:
    number: The number of the object.
    left: The first column of its bounding box.
    top: The first row of its bounding box.
    mask: Its pixels in the box.
    confidence: In 0 to 1.
  """

  number: int
  left: int
  top: int
  mask: Bool[np.ndarray, 'rows columns']
  confidence: float

  @property
  def box(self) -> list[int]:
    """Left, top, width and height, in whole pixels from 0."""
    height, width = self.mask.shape
    return [self.left, self.top, width, height]

  def contours(self) -> list[Float[np.ndarray, 'points 2']]:
    """The outlines of its parts and holes, as `contours.find_contours`."""
    outlines = contours.find_contours(self.mask)
    return [line + (self.left, self.top) for line in outlines]


class TrackedVideo(NamedTuple):
  """A video and what was tracked in it.

  Attributes:
    name: The name of the video.
    file_names: The name of each frame as a picture.
    frames_per_second: The rate.
    result: The tracked objects.
    masks: The masks of the result, which are read one at a time.
  """

  name: str
  file_names: Sequence[str]
  frames_per_second: float
  result: video_tracker.TrackResult
  masks: UInt8[np.ndarray, 'time height width'] | lazy_sequence.LazySequence

  @property
  def size(self) -> tuple[int, int]:
    """Height and width in pixels."""
    height, width = self.masks[0].shape
    return height, width

  def objects(self) -> Iterator[tuple[int, list[TrackedObject]]]:
    """Yields the number of each frame, and the objects that are visible."""
    for frame, visible in enumerate(self.result.visible):
      mask = self.masks[frame]
      boxes = ndimage.find_objects(mask, max_label=254)
      found = []
      for index in np.flatnonzero(visible):
        number = int(self.result.numbers[index])
        if box := boxes[number - 1]:
          rows, columns = box
          pixels = mask[box] == number
          confidence = round(float(self.result.confidence[frame, index]), 3)
          found.append(
              TrackedObject(
                  number, columns.start, rows.start, pixels, confidence
              )
          )
      yield frame, found


def export(
    output_dir: str | os.PathLike[str],
    video: video_tracker.Video,
    result: video_tracker.TrackResult,
    formats: Sequence[str],
    *,
    frames_per_second: float = 25.0,
) -> None:
  """Writes tracked objects in some formats. Memory does not grow with length.

  Args:
    output_dir: The folder to write to. Each file is written in one atomic step.
    video: The video that was tracked.
    result: The objects that were tracked in it.
    formats: Names of `FORMATS`.
    frames_per_second: The rate that the files tell.

  Raises:
    UserError: A format is unknown, points were tracked, or a file cannot be
      written.
  """
  writers = find_writers(formats)
  if result.masks is None:
    raise errors.UserError('points have no masks to export: track objects')
  files.make_folder(output_dir)
  name, paths = 'video', None
  video = video_tracker.open_video(video)
  if isinstance(video, video_source.VideoSource):
    name, paths = video.name, video.frame_paths
  count = len(result.visible)
  names = [f'{number:05d}{_SUFFIX}' for number in range(count)]
  if paths is not None:  # A damaged folder has more than could be read.
    names = [path.name for path in paths[:count]]
  tracked = TrackedVideo(name, names, frames_per_second, result, result.masks)
  for write in writers:
    write(pathlib.Path(output_dir).expanduser(), tracked)


def find_writers(
    formats: Sequence[str],
) -> list[Callable[[pathlib.Path, TrackedVideo], None]]:
  """Returns the functions that write the formats of these names.

  Raises:
    UserError: A format is unknown.
  """
  for name in formats:
    if name not in FORMATS:
      raise errors.UserError(
          f"cannot export to '{name}': give some of {', '.join(FORMATS)}"
      )
  return [FORMATS[name] for name in dict.fromkeys(formats)]


def write_coco(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes coco.json.

  Each frame is an image. Each visible object of a frame is an annotation, whose
  'track_id' is the number of the object; CVAT and Datumaro read it in
  'attributes'. 'segmentation' is uncompressed RLE, which pycocotools reads.
  Areas and boxes are in pixels.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  height, width = tracked.size
  size = {'height': height, 'width': width}
  head = {
      'info': {'description': tracked.name},
      'videos': [{'id': 1, 'name': tracked.name, **size}],
      'categories': [{'id': 1, 'name': _CATEGORY}],
      'images': [
          {'id': frame + 1, 'video_id': 1, 'frame_index': frame}
          | {'file_name': name, **size}
          for frame, name in enumerate(tracked.file_names)
      ],
  }
  ids = itertools.count(1)
  with (
      files.atomic_write(output_dir / 'coco.json') as temporary,
      open(temporary, 'w', encoding='utf-8') as file,
  ):
    # The list of annotations may be too long for memory.
    file.write(json.dumps(head).removesuffix('}') + ', "annotations": [')
    separator = '\n'
    for frame, found in tracked.objects():
      for one in found:
        full = np.zeros((height, width), bool)
        left, top, columns, rows = one.box
        full[top : top + rows, left : left + columns] = one.mask
        annotation = {
            'id': next(ids),
            'image_id': frame + 1,
            'category_id': 1,
            'track_id': one.number,
            'attributes': {'track_id': one.number},
            'segmentation': {
                'size': [height, width],
                'counts': _run_lengths(full.ravel('F')),
            },
            'area': int(one.mask.sum()),
            'bbox': one.box,
            'iscrowd': 0,
            'score': one.confidence,
        }
        file.write(separator + json.dumps(annotation))
        separator = ',\n'
    file.write('\n]}\n')


def write_cvat(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes cvat.xml, 'CVAT for video 1.1'.

  CVAT cannot track masks: of a track, it reads only the first mask. So each
  mask is a track of one frame, as CVAT writes its own masks. It is 'outside'
  from the next frame on. The attribute 'number' tells which object it is: make
  a label 'object' with an attribute 'number' in the task.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  count = len(tracked.file_names)
  ids = itertools.count()
  with (
      files.atomic_write(output_dir / 'cvat.xml') as temporary,
      open(temporary, 'w', encoding='utf-8') as file,
  ):
    file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
    file.write('<version>1.1</version>\n')
    file.write(_to_xml(_cvat_meta(count, *tracked.size)))
    for frame, found in tracked.objects():
      for one in found:
        track = ElementTree.Element(
            'track', id=str(next(ids)), label=_CATEGORY, source='auto'
        )
        track.append(_cvat_mask(frame, one))
        if frame + 1 < count:
          track.append(_cvat_mask(frame + 1, one, is_outside=True))
        file.write(_to_xml(track))
    file.write('</annotations>\n')


def _cvat_meta(count, height, width):
  meta = ElementTree.Element('meta')
  task = ElementTree.SubElement(meta, 'task')
  for name, text in {
      'size': count,
      'mode': 'interpolation',
      'start_frame': 0,
      'stop_frame': count - 1,
  }.items():
    ElementTree.SubElement(task, name).text = str(text)
  labels = ElementTree.SubElement(task, 'labels')
  label = ElementTree.SubElement(labels, 'label')
  ElementTree.SubElement(label, 'name').text = _CATEGORY
  attributes = ElementTree.SubElement(label, 'attributes')
  attribute = ElementTree.SubElement(attributes, 'attribute')
  for name, text in {
      'name': 'number',
      'mutable': 'False',
      'input_type': 'number',
      'default_value': '1',
      'values': '1\n254\n1',
  }.items():
    ElementTree.SubElement(attribute, name).text = text
  size = ElementTree.SubElement(task, 'original_size')
  ElementTree.SubElement(size, 'width').text = str(width)
  ElementTree.SubElement(size, 'height').text = str(height)
  return meta


def _cvat_mask(frame, one, *, is_outside=False):
  left, top, width, height = map(str, one.box)
  mask = ElementTree.Element(
      'mask',
      frame=str(frame),
      keyframe='1',
      outside=str(int(is_outside)),
      occluded='0',
      rle=', '.join(map(str, _run_lengths(one.mask.ravel()))),
      left=left,
      top=top,
      width=width,
      height=height,
      z_order='0',
  )
  attribute = ElementTree.SubElement(mask, 'attribute', name='number')
  attribute.text = str(one.number)
  return mask


def _to_xml(element):
  return ElementTree.tostring(element, encoding='unicode') + '\n'


def write_mot(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes mot/gt/gt.txt, mot/gt/labels.txt and mot/seqinfo.ini.

  As MOTChallenge has it, frames, objects and pixels count from 1: a box in the
  upper left corner begins at 1, 1. The seventh column is the confidence, the
  eighth the class, which is 1, and the ninth the visibility, which is 1. The
  rate is rounded to a whole number.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  folder = output_dir / 'mot'
  files.make_folder(folder / 'gt')
  with (
      files.atomic_write(folder / 'gt' / 'gt.txt') as temporary,
      open(temporary, 'w', encoding='utf-8') as file,
  ):
    for frame, found in tracked.objects():
      for one in found:
        left, top, width, height = one.box
        line = frame + 1, one.number, left + 1, top + 1, width, height
        line = *line, one.confidence, 1, 1
        file.write(','.join(map(str, line)) + '\n')
  with files.atomic_write(folder / 'gt' / 'labels.txt') as temporary:
    temporary.write_text(f'{_CATEGORY}\n', 'utf-8')
  height, width = tracked.size
  lines = [
      '[Sequence]',
      f'name={" ".join(tracked.name.split())}',
      'imDir=img1',
      f'frameRate={max(1, round(tracked.frames_per_second))}',
      f'seqLength={len(tracked.file_names)}',
      f'imWidth={width}',
      f'imHeight={height}',
      f'imExt={pathlib.Path(tracked.file_names[0]).suffix}',
  ]
  with files.atomic_write(folder / 'seqinfo.ini') as temporary:
    # A name may hold bytes that are no text.
    temporary.write_text('\n'.join(lines) + '\n', 'utf-8', 'backslashreplace')


def write_yolo(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes yolo/labels/00000.txt ... and yolo/data.yaml.

  To train on them, put the frames into yolo/images.

  An object is one polygon through the centres of its outermost pixels. Lines
  join its parts and holes. Where the polygon is filled with the pixels under
  its line, as Ultralytics does with OpenCV, the masks are the same but for the
  lines between parts. Other ways to fill it lose half a pixel along edges. The
  numbers of objects are lost: the format has none.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  folder = output_dir / 'yolo'
  scale = np.array(tracked.size[::-1])
  with files.atomic_folder(folder / 'labels') as labels:
    for frame, found in tracked.objects():
      lines = []
      for one in found:
        points = (_outline(one.mask) + (one.left, one.top) + 0.5) / scale
        lines.append(' '.join(['0', *(f'{x:.6f}' for x in points.ravel())]))
      stem = pathlib.Path(tracked.file_names[frame]).stem
      text = ''.join(f'{line}\n' for line in lines)
      (labels / f'{stem}.txt').write_text(text, 'utf-8')
  with files.atomic_write(folder / 'data.yaml') as temporary:
    temporary.write_text(
        f'train: images\nval: images\nnames:\n  0: {_CATEGORY}\n', 'utf-8'
    )


def write_contours(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes contours.json, a list of frames with the outlines of each object.

  It is [{"frame": 0, "objects": [{"number": 1, "contours": [[[x, y], ...],
  ...]}]}, ...]. The outlines are those of `contours.find_contours`.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  with (
      files.atomic_write(output_dir / 'contours.json') as temporary,
      open(temporary, 'w', encoding='utf-8') as file,
  ):
    separator = '['
    for frame, found in tracked.objects():
      objects = [
          {
              'number': one.number,
              'contours': [line.tolist() for line in one.contours()],
          }
          for one in found
      ]
      content = json.dumps({'frame': frame, 'objects': objects})
      file.write(f'{separator}{content}')
      separator = ',\n'
    file.write(']\n')


def write_svg(output_dir: pathlib.Path, tracked: TrackedVideo) -> None:
  """Writes svg/00000.svg ..., a drawing of the objects for each frame.

  Each object is one path with all its parts and holes. Its id is 'object-1' and
  so on. The outlines are those of `contours.find_contours`, half a pixel
  farther to the right and below: in SVG, a pixel begins at whole coordinates.

  Args:
    output_dir: The folder to write to.
    tracked: What was tracked.
  """
  height, width = map(str, tracked.size)
  with files.atomic_folder(output_dir / 'svg') as folder:
    for frame, found in tracked.objects():
      drawing = ElementTree.Element(
          'svg',
          xmlns='http://www.w3.org/2000/svg',
          viewBox=f'0 0 {width} {height}',
          width=width,
          height=height,
      )
      for one in found:
        color = overlay.object_colors()[one.number]
        attributes = {
            'id': f'object-{one.number}',
            'fill': f'#{color.tobytes().hex()}',
            'fill-rule': 'evenodd',
            'd': ''.join(_to_svg(line + 0.5) for line in one.contours()),
        }
        ElementTree.SubElement(drawing, 'path', attributes)
      stem = pathlib.Path(tracked.file_names[frame]).stem
      (folder / f'{stem}.svg').write_text(_to_xml(drawing), 'utf-8')


def _to_svg(line):
  return f'M{" ".join(f"{x:g},{y:g}" for x, y in line)}Z'


FORMATS: Mapping[str, Callable[[pathlib.Path, TrackedVideo], None]] = {
    'coco': write_coco,
    'cvat': write_cvat,
    'mot': write_mot,
    'yolo': write_yolo,
    'contours': write_contours,
    'svg': write_svg,
}


def _run_lengths(values):
  """Returns the lengths of runs of False and True by turns, False first."""
  changes = np.flatnonzero(np.diff(values, prepend=False))
  return np.diff(changes, prepend=0, append=len(values)).tolist()


def _outline(
    mask: Bool[np.ndarray, 'rows columns'],
) -> Int[np.ndarray, 'points 2']:
  """Returns one closed line, (x, y), around all parts and holes.

  The way to another part, and back, is the shortest between two corners.
  """
  outlines, _ = cv2.findContours(
      mask.view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE
  )
  line, *others = (outline.reshape(-1, 2) for outline in outlines)
  for other in others:
    gaps = distance.cdist(line, other)
    here, there = np.unravel_index(gaps.argmin(), gaps.shape)
    loop = np.roll(other, -there, axis=0)
    line = np.concatenate([line[: here + 1], loop, loop[:1], line[here:]])
  # Readers take a line of fewer points for a box.
  missing = max(0, 3 - len(line))
  return np.pad(line, ((0, missing), (0, 0)), 'edge').astype(int)
