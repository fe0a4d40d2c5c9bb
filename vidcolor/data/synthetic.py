"""Renders synthetic video with exact masks, point tracks and optical flow.

A clip is a stack of layers: a background and some objects. Each layer is a
canonical picture that a map moves. The map is a similarity after two sine
shears, which has a closed-form inverse. Frames are drawn through the inverse
map (frame to canonical), points and flow through the forward map. So the ground
truth is exact.

Pixel centres have whole coordinates, x to the right and y down.
"""

import dataclasses

import cv2
from jaxtyping import Bool, Float16, Float32, UInt8
import numpy as np

POINTS_PER_OBJECT = 16

# Lengths below are in pixels of frames whose short side has this many pixels.
_SHORT_SIDE = 192


@dataclasses.dataclass(frozen=True)
class Clip:
  """A video and its ground truth.

  Attributes:
    frames: RGB frames.
    masks: 0 on the background, 1 to n on the objects. Objects with higher
      numbers are in front.
    points: Positions (x, y) of points on the objects, in pixels. In the first
      frame, each point lies on a visible object.
    visible: Whether a point is inside the frame and not behind another object.
    flow: Displacement (x, y) in pixels, from each frame to the next.
  """

  frames: UInt8[np.ndarray, 'time height width 3']
  masks: UInt8[np.ndarray, 'time height width']
  points: Float32[np.ndarray, 'points time 2']
  visible: Bool[np.ndarray, 'points time']
  flow: Float16[np.ndarray, 'time-1 height width 2']


def render_clip(
    seed: int, *, num_frames: int = 24, height: int = 192, width: int = 256
) -> Clip:
  """Renders a clip of two or three objects over a moving background.

  The objects differ in shape, texture and colour. They move, turn, grow and
  bend smoothly, occlude each other and may partly leave the frame. The light
  changes. The camera pans, zooms, blurs a little and adds noise.

  Args:
    seed: Seed; equal seeds give equal clips.
    num_frames: Number of frames. The motion per frame does not depend on it.
    height: Height of the frames in pixels.
    width: Width of the frames in pixels.

  Returns:
    The clip. Every object covers at least 2% of the first frame.
  """
  rng = np.random.default_rng(seed)
  layers = _draw_scene(rng, height, width)
  camera = _Camera(rng, height, width)
  frames = np.empty((num_frames, height, width, 3), np.uint8)
  masks = np.zeros((num_frames, height, width), np.uint8)
  flow = np.empty((num_frames, height, width, 2), np.float16)
  for t in range(num_frames):
    picture = np.zeros((height, width, 3), np.float32)
    for index, layer in enumerate(layers):
      layer.paint(t, index, picture, masks[t], flow[t])
    frames[t] = camera.expose(picture, t)
  points, visible = _track(rng, layers, masks)
  return Clip(frames, masks, points, visible, flow[:-1])


@dataclasses.dataclass(frozen=True)
class _Motion:
  """A map from canonical to frame coordinates that oscillates with time.

  Its six parameters are x, y, angle, log scale and the strengths of the two
  shears. Each follows `mean + amplitude * sin(rate * t + phase)`.
  """

  mean: Float32[np.ndarray, '6']
  amplitude: Float32[np.ndarray, '6']
  rate: Float32[np.ndarray, '6']
  phase: Float32[np.ndarray, '6']
  wavenumber: np.float32

  def state(self, t: int) -> Float32[np.ndarray, '6']:
    wave = np.sin(self.rate * np.float32(t) + self.phase)
    return self.mean + self.amplitude * wave

  def to_frame(self, u, v, t):
    x0, y0, angle, log_scale, bend_u, bend_v = self.state(t)
    u = u + bend_u * np.sin(self.wavenumber * v)
    v = v + bend_v * np.cos(self.wavenumber * u)
    cos = np.exp(log_scale) * np.cos(angle)
    sin = np.exp(log_scale) * np.sin(angle)
    return cos * u - sin * v + x0, sin * u + cos * v + y0

  def to_canonical(self, x, y, t):
    x0, y0, angle, log_scale, bend_u, bend_v = self.state(t)
    cos = np.exp(-log_scale) * np.cos(angle)
    sin = np.exp(-log_scale) * np.sin(angle)
    x, y = x - x0, y - y0
    u, v = cos * x + sin * y, cos * y - sin * x
    v = v - bend_v * np.cos(self.wavenumber * u)
    u = u - bend_u * np.sin(self.wavenumber * v)
    return u, v


@dataclasses.dataclass(frozen=True)
class _Layer:
  """A canonical picture with its origin in the middle, and its motion.

  Attributes:
    picture: RGBA in [0, 1], with colours multiplied by alpha.
    motion: Motion of the picture.
    radius: Canonical distance beyond which the picture is transparent. It is
      infinite for the background.
  """

  picture: Float32[np.ndarray, 'height width 4']
  motion: _Motion
  radius: float

  def sample(self, u, v):
    """Returns colour and alpha at canonical coordinates, interpolated."""
    height, width = self.picture.shape[:2]
    background = np.isinf(self.radius)
    rgba = cv2.remap(
        self.picture,
        u + np.float32((width - 1) / 2),
        v + np.float32((height - 1) / 2),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT if background else cv2.BORDER_CONSTANT,
    )
    return rgba[..., :3], rgba[..., 3]

  def paint(self, t, index, picture, mask, flow):
    """Paints frame `t` of this layer over the layers behind it."""
    rows, columns = self._window(t, *mask.shape)
    y, x = (_float32(axis) for axis in np.ogrid[rows, columns])
    u, v = self.motion.to_canonical(x, y, t)
    color, alpha = self.sample(u, v)
    under = picture[rows, columns]
    under *= 1 - alpha[..., None]
    under += color
    inside = alpha > 0.5
    mask[rows, columns][inside] = index
    next_x, next_y = self.motion.to_frame(u, v, t + 1)
    moved = np.stack([next_x - x, next_y - y], -1).astype(np.float16)
    np.copyto(flow[rows, columns], moved, where=inside[..., None])

  def _window(self, t, height, width):
    """Returns the rows and columns of the frame that the layer can cover."""
    if np.isinf(self.radius):
      return slice(0, height), slice(0, width)
    x, y, _, log_scale, bend_u, bend_v = self.motion.state(t)
    reach = np.exp(log_scale) * (self.radius + abs(bend_u) + abs(bend_v)) + 2
    return _clipped(y, reach, height), _clipped(x, reach, width)


def _clipped(centre, reach, size):
  low, high = np.clip([centre - reach, centre + reach], 0, size).astype(int)
  return slice(low, high)


def _draw_scene(rng, height, width) -> list[_Layer]:
  unit = min(height, width) / _SHORT_SIDE
  radii = unit * rng.uniform(30, 44, rng.integers(2, 4))
  # Of some random starts, this takes the one whose objects are farthest from
  # each other and from the border.
  starts = (
      [_object_motion(rng, height, width, radius) for radius in radii]
      for _ in range(24)
  )
  motions = max(
      starts, key=lambda start: _clearance(start, radii, height, width)
  )
  objects = [
      _draw_object(rng, radius, motion)
      for radius, motion in zip(radii, motions, strict=True)
  ]
  return [_draw_background(rng, height, width), *objects]


def _object_motion(rng, height, width, radius) -> _Motion:
  unit = min(height, width) / _SHORT_SIDE
  middle = rng.uniform(0.25, 0.75, 2) * (width, height)
  way = unit * rng.uniform(22, 50, 2)
  speed = unit * rng.uniform(1.8, 4.5, 2)
  return _Motion(
      mean=_float32([*middle, rng.uniform(-np.pi, np.pi), 0, 0, 0]),
      amplitude=_float32(
          [
              *way,
              rng.uniform(0.1, 0.7),
              rng.uniform(0.05, 0.25),
              *(radius * rng.uniform(0.08, 0.22, 2)),
          ]
      ),
      rate=_float32([*(speed / way), *(2 * np.pi / rng.uniform(24, 60, 4))]),
      phase=_float32(rng.uniform(0, 2 * np.pi, 6)),
      wavenumber=np.float32(rng.uniform(1.0, 2.0) / radius),
  )


def _clearance(motions, radii, height, width) -> float:
  """Returns the smallest gap between objects, or to the border, in frame 0."""
  starts = [motion.state(0)[:2] for motion in motions]
  gaps = []
  for i, (start, radius) in enumerate(zip(starts, radii, strict=True)):
    gaps.extend([*start, *((width, height) - start)] - radius)
    for j in range(i):
      gaps.append(np.linalg.norm(start - starts[j]) - radius - radii[j])
  return min(gaps)


def _draw_object(rng, radius, motion) -> _Layer:
  """Draws a textured blob whose outline is a short random Fourier series."""
  side = int(3.2 * radius)
  v, u = np.mgrid[:side, :side].astype(np.float32) - (side - 1) / 2
  theta = np.arctan2(v, u)
  outline = np.ones_like(theta)
  for order in range(2, 6):
    swing = rng.uniform(0, 0.36) / order
    outline += swing * np.cos(order * theta + rng.uniform(0, 2 * np.pi))
  distance = radius * outline - np.hypot(u, v)
  alpha = np.clip(distance / 1.5 + 0.5, 0, 1)
  # A darker rim makes the blob look solid.
  rim = 0.75 + 0.25 * np.clip(distance / (0.3 * radius), 0, 1)
  colors = _draw_texture(rng, side, side, saturation=(0.35, 0.95))
  picture = np.dstack([colors * (rim * alpha)[..., None], alpha])
  return _Layer(_float32(picture), motion, float(radius * outline.max()) + 1)


def _draw_background(rng, height, width) -> _Layer:
  """Draws two textured regions, such as a floor and a wall."""
  unit = min(height, width) / _SHORT_SIDE
  rows, columns = int(1.7 * height), int(1.7 * width)
  near = _draw_texture(rng, rows, columns, saturation=(0.1, 0.6))
  far = _draw_texture(rng, rows, columns, saturation=(0.1, 0.6))
  border = np.clip(20 * _noise(rng, rows, columns, 1.5) - 9.5, 0, 1)
  colors = far + border[..., None] * (near - far)
  way = unit * rng.uniform(8, 40, 2)
  speed = unit * rng.uniform(0.3, 2.5, 2)
  motion = _Motion(
      mean=_float32([width / 2, height / 2, rng.uniform(-0.1, 0.1), 0, 0, 0]),
      amplitude=_float32(
          [
              *way,
              rng.uniform(0, 0.08),
              rng.uniform(0, 0.12),
              *(unit * rng.uniform(0, 6, 2)),
          ]
      ),
      rate=_float32([*(speed / way), *(2 * np.pi / rng.uniform(40, 90, 4))]),
      phase=_float32(rng.uniform(0, 2 * np.pi, 6)),
      wavenumber=np.float32(rng.uniform(2, 5) / width),
  )
  opaque = np.ones((rows, columns), np.float32)
  return _Layer(np.dstack([colors, opaque]), motion, np.inf)


def _draw_texture(rng, height, width, saturation):
  """Draws noise, stripes or spots in a few related colours, RGB in [0, 1]."""
  detail = rng.uniform(2, 4) * max(height, width) / 128
  field = _noise(rng, height, width, detail)
  kind = rng.integers(3)
  if kind == 1:  # Stripes that the noise bends.
    y, x = np.ogrid[:height, :width]
    angle = rng.uniform(0, np.pi)
    along = (np.cos(angle) * x + np.sin(angle) * y).astype(np.float32)
    pitch = np.float32(rng.uniform(8, 20))
    field = 0.5 + 0.5 * np.sin(2 * np.pi * along / pitch + 9 * field)
  elif kind == 2:  # Spots, by a smooth threshold of finer noise.
    spots = _noise(rng, height, width, 3 * detail)
    field = 0.6 * np.clip(9 * spots - 4.3, 0, 1) + 0.4 * field
  colors = _draw_palette(rng, saturation)[(255 * field).astype(np.uint8)]
  grain = _noise(rng, height, width, max(height, width) / 4, octaves=1)
  return colors * (0.75 + 0.5 * grain[..., None])


def _draw_palette(rng, saturation):
  """Draws 256 RGB colours that interpolate a few hues near a random one."""
  count = rng.integers(3, 6)
  hsv = np.stack(
      [
          (rng.uniform(0, 360) + rng.normal(0, 50, count)) % 360,
          rng.uniform(*saturation, count),
          rng.permutation(np.linspace(0.25, rng.uniform(0.7, 1), count)),
      ],
      -1,
  )
  rgb = cv2.cvtColor(_float32(hsv[None]), cv2.COLOR_HSV2RGB)
  return cv2.resize(rgb, (256, 1), interpolation=cv2.INTER_LINEAR)[0]


def _noise(rng, height, width, cells, octaves=4):
  """Draws noise in [0, 1] whose first octave has `cells` on the long side."""
  total = np.zeros((height, width), np.float32)
  for octave in range(octaves):
    pitch = max(height, width) / (cells * 2**octave)
    if pitch < 2:
      break
    grid = rng.standard_normal(
        (int(height / pitch) + 3, int(width / pitch) + 3), np.float32
    )
    total += 0.5**octave * cv2.resize(
        grid, (width, height), interpolation=cv2.INTER_CUBIC
    )
  low, high = total.min(), total.max()
  return (total - low) / (high - low)


class _Camera:
  """Simulates light and lens, and converts pictures to 8 bits."""

  def __init__(self, rng, height, width):
    self._gain = rng.uniform(0.85, 1.1), rng.uniform(0, 0.15)
    self._gamma = rng.uniform(0.85, 1.15), rng.uniform(0, 0.12)
    self._shade = rng.uniform(0.05, 0.3)
    self._rate = 2 * np.pi / rng.uniform(30, 80, 3)
    self._phase = rng.uniform(0, 2 * np.pi, 3)
    self._blur = rng.uniform(0.4, 0.8)
    y, x = np.ogrid[:height, :width]
    direction = rng.uniform(-3, 3, 2) / max(height, width)
    self._across = _float32(direction[0] * x + direction[1] * y)
    # One sheet of noise, shifted at random for each frame, is as good as new
    # noise for each frame, and far faster.
    sheet = rng.standard_normal((height + 64, width + 64, 3), np.float32)
    self._sheet = sheet * np.float32(rng.uniform(1, 4))
    self._shifts = rng

  def expose(self, picture, t):
    sway = np.sin(self._rate * t + self._phase)
    gain = self._gain[0] + self._gain[1] * sway[0]
    gamma = self._gamma[0] + self._gamma[1] * sway[1]
    moved = self._across + np.float32(self._rate[2] * t + self._phase[2])
    light = np.float32(gain) * (1 + np.float32(self._shade) * np.sin(moved))
    picture = cv2.GaussianBlur(picture * light[..., None], (3, 3), self._blur)
    picture = 255 * cv2.pow(np.maximum(picture, 0), gamma)
    height, width = picture.shape[:2]
    top, left = self._shifts.integers(0, 65, 2)
    picture += self._sheet[top : top + height, left : left + width]
    return np.clip(picture, 0, 255).astype(np.uint8)


def _track(rng, layers, masks):
  """Returns positions and visibility of points that frame 0 shows."""
  num_frames, height, width = masks.shape
  points, visible = [], []
  for index, layer in enumerate(layers[1:], 1):
    # Points keep away from outlines, where a pixel may show two objects.
    inside = cv2.erode((masks[0] == index).astype(np.uint8), np.ones((5, 5)))
    y, x = np.nonzero(inside)
    chosen = rng.choice(len(x), POINTS_PER_OBJECT)
    u, v = layer.motion.to_canonical(
        _float32(x[chosen]), _float32(y[chosen]), 0
    )
    for t in range(num_frames):
      x, y = layer.motion.to_frame(u, v, t)
      shown = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
      for other in layers[index + 1 :]:
        _, alpha = other.sample(*other.motion.to_canonical(x[None], y[None], t))
        shown &= alpha[0] <= 0.5
      points.append(np.stack([x, y], -1))
      visible.append(shown)
  points = np.reshape(points, (-1, num_frames, POINTS_PER_OBJECT, 2))
  visible = np.reshape(visible, points.shape[:-1])
  return (
      points.swapaxes(1, 2).reshape(-1, num_frames, 2),
      visible.swapaxes(1, 2).reshape(-1, num_frames),
  )


def _float32(values):
  return np.asarray(values, np.float32)
