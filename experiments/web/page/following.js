// Moves a kept frame along with the objects, as vidcolor/tracking/following.py.
//
// The window of a copy lies around the same place in all references. An object
// that has moved farther than the window is still in that of the moved frame.

// An object with a smaller share of its first area has been lost: where its
// label is does not say where it is.
const LEAST_AREA = 0.05;

/**
 * Returns a reference, moved to where the objects are in another one.
 *
 * Each position moves with the object whose center is nearest now, by whole
 * cells. What enters at the border repeats the border.
 *
 * @param kept The reference {embedding, labels} that is moved.
 * @param labels The newest labels.
 * @return The moved reference; null if nothing has moved.
 */
export function moved(kept, labels) {
  const {rows, columns, stride, dim} = kept.embedding;
  const count = labels.length / (rows * columns);
  const start = centers(kept.labels, rows, columns, count);
  const objects = centers(labels, rows, columns, count).flatMap((end, i) => {
    if (!(end.area > LEAST_AREA * start[i].area)) return [];
    const down = roundHalfEven(end.y - start[i].y);
    const right = roundHalfEven(end.x - start[i].x);
    return [{...end, down, right}];
  });
  if (!objects.some(({down, right}) => down || right)) return null;
  const data = new Float32Array(kept.embedding.data.length);
  const newLabels = new Float32Array(labels.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const object = nearest(objects, y, x);
      const fromY = Math.min(rows - 1, Math.max(0, y - object.down));
      const fromX = Math.min(columns - 1, Math.max(0, x - object.right));
      let to = y * dim * stride + x;
      let from = fromY * dim * stride + fromX;
      for (let d = 0; d < dim; d++, to += stride, from += stride) {
        data[to] = kept.embedding.data[from];
      }
      for (let l = 0; l < count; l++) {
        newLabels[(y * columns + x) * count + l] =
            kept.labels[(fromY * columns + fromX) * count + l];
      }
    }
  }
  return {embedding: {...kept.embedding, data}, labels: newLabels};
}

/** Rounds as NumPy does. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function nearest(objects, y, x) {
  let best = objects[0], least = Infinity;
  for (const object of objects) {
    const distance = (y - object.y) ** 2 + (x - object.x) ** 2;
    if (distance < least) [best, least] = [object, distance];
  }
  return best;
}

/** Returns the center and the area of each label but the background. */
function centers(labels, rows, columns, count) {
  const sums = Array.from({length: count - 1}, () => ({y: 0, x: 0, area: 0}));
  for (let y = 0, i = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      i++; // The background.
      for (const sum of sums) {
        const share = labels[i++];
        sum.area += share;
        sum.y += share * y;
        sum.x += share * x;
      }
    }
  }
  return sums.map(({y, x, area}) => ({
    y: y / Math.max(area, 1e-6), x: x / Math.max(area, 1e-6), area,
  }));
}
