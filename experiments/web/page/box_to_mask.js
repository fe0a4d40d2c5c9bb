// Turns a box around an object into its mask.

/** Returns the ellipse in a box (x0, y0, x1, y1), as a Uint8Array. */
export function boxToMask(embedding, {width, height}, [x0, y0, x1, y1]) {
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) {
    const x = (i % width + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2);
    const y = (Math.floor(i / width) + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2);
    mask[i] = Number(x * x + y * y < 1);
  }
  return mask;
}
