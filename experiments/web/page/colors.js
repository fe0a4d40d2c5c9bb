// The colors of objects.

/** Returns the RGB color of a number in the masks of PASCAL VOC and DAVIS. */
export function davisColor(number) {
  const color = [0, 0, 0];
  for (let bit = 7; number; bit--, number >>= 3) {
    color.forEach((_, c) => { color[c] |= (number >> c & 1) << bit; });
  }
  return color;
}

const SHOWN = [
  [255, 95, 86], [64, 156, 255], [255, 190, 46], [52, 199, 120],
  [191, 110, 255], [255, 128, 191], [48, 205, 215], [190, 160, 110],
];

/** Returns the RGB color in which an object is shown on the page. */
export function shownColor(number) {
  return SHOWN[(number - 1) % SHOWN.length];
}

/**
 * Draws masks over a picture, in place: objects are tinted, their edges bright.
 *
 * @param picture ImageData.
 * @param mask The number of the object at each pixel.
 */
export function tint({data, width, height}, mask) {
  for (let i = 0; i < mask.length; i++) {
    const number = mask[i];
    if (!number) continue;
    const x = i % width, y = Math.floor(i / width);
    const isEdge = (x > 0 && mask[i - 1] !== number) ||
        (x < width - 1 && mask[i + 1] !== number) ||
        (y > 0 && mask[i - width] !== number) ||
        (y < height - 1 && mask[i + width] !== number);
    const share = isEdge ? 1 : 0.45;
    const color = shownColor(number);
    for (let c = 0; c < 3; c++) {
      data[4 * i + c] += share * (color[c] - data[4 * i + c]);
    }
    data[4 * i + 3] = 255;
  }
}
