// Planes: {data: Float32Array, rows, columns}, one number at each pixel.

/** Makes a plane of a function of the index. */
export function plane(rows, columns, valueAt = () => 0) {
  const data = new Float32Array(rows * columns);
  for (let i = 0; i < data.length; i++) data[i] = valueAt(i);
  return {data, rows, columns};
}

/**
 * Returns a resized plane. Positions are those of the centers of pixels.
 *
 * @param source The plane.
 * @param rows New number of rows.
 * @param columns New number of columns.
 * @param weigh How a new pixel weighs the old ones: `linear`, `antialias` or
 *   `area`.
 */
export function resized(source, rows, columns, weigh) {
  if (rows === source.rows && columns === source.columns) return source;
  const across = weightsOf(source.columns, columns, weigh);
  const wide = new Float32Array(source.rows * columns);
  for (let y = 0, to = 0; y < source.rows; y++) {
    for (const {start, weights} of across) {
      let sum = 0;
      const from = y * source.columns + start;
      for (let k = 0; k < weights.length; k++) {
        sum += weights[k] * source.data[from + k];
      }
      wide[to++] = sum;
    }
  }
  const result = plane(rows, columns);
  weightsOf(source.rows, rows, weigh).forEach(({start, weights}, y) => {
    const row = result.data.subarray(y * columns, (y + 1) * columns);
    weights.forEach((weight, k) => {
      const from = (start + k) * columns;
      for (let x = 0; x < columns; x++) row[x] += weight * wide[from + x];
    });
  });
  return result;
}

function weightsOf(from, to, weigh) {
  return Array.from({length: to}, (_, i) => {
    const all = new Map();
    weigh(i, from / to, (at, weight) => {
      const inside = Math.min(from - 1, Math.max(0, at));
      all.set(inside, (all.get(inside) ?? 0) + weight);
    }, from);
    const start = Math.min(...all.keys());
    const length = Math.max(...all.keys()) - start + 1;
    const total = [...all.values()].reduce((a, b) => a + b);
    const weights = Array.from(
      {length}, (_, k) => (all.get(start + k) ?? 0) / total);
    return {start, weights};
  });
}

/** Interpolates between the two nearest pixels, at the border the last one. */
export function linear(i, scale, add) {
  const at = (i + 0.5) * scale - 0.5;
  const low = Math.floor(at);
  add(low, low + 1 - at);
  add(low + 1, at - low);
}

/** Interpolates; if pixels are lost, takes a mean with weights of a triangle. */
export function antialias(i, scale, add, size) {
  const at = (i + 0.5) * scale - 0.5;
  const reach = Math.max(1, scale);
  const low = Math.max(0, Math.ceil(at - reach));
  const high = Math.min(size - 1, Math.floor(at + reach));
  for (let k = low; k <= high; k++) {
    add(k, Math.max(0, 1 - Math.abs(k - at) / reach));
  }
}

/** Takes the mean over the new pixel's area; if that is small, interpolates. */
export function area(i, scale, add) {
  if (scale <= 1) return linear(i, scale, add);
  const low = i * scale, high = (i + 1) * scale;
  for (let k = Math.floor(low); k < high; k++) {
    const share = Math.min(k + 1, high) - Math.max(k, low);
    if (share > 1e-9) add(k, share);
  }
}

/** Returns the mean over a square around each pixel; borders are mirrored. */
export function boxMean(source, radius) {
  const {rows, columns} = source;
  const width = 2 * radius + 1;
  const wide = new Float32Array(rows * columns);
  for (let y = 0; y < rows; y++) {
    const row = source.data.subarray(y * columns, (y + 1) * columns);
    let sum = 0;
    for (let k = -radius; k <= radius; k++) sum += row[mirror(k, columns)];
    for (let x = 0; x < columns; x++) {
      wide[y * columns + x] = sum / width;
      sum += row[mirror(x + radius + 1, columns)];
      sum -= row[mirror(x - radius, columns)];
    }
  }
  const result = plane(rows, columns);
  const sums = new Float64Array(columns);
  const add = (y, sign) => {
    const from = mirror(y, rows) * columns;
    for (let x = 0; x < columns; x++) sums[x] += sign * wide[from + x];
  };
  for (let k = -radius; k <= radius; k++) add(k, 1);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      result.data[y * columns + x] = sums[x] / width;
    }
    add(y + radius + 1, 1);
    add(y - radius, -1);
  }
  return result;
}

/** Returns the plane after a Gaussian blur; borders are mirrored. */
export function blurred(source, sigma) {
  const {rows, columns} = source;
  // The reach that OpenCV chooses for float32.
  const reach = (Math.round(8 * sigma + 1) | 1) >> 1;
  const weights = Array.from(
    {length: 2 * reach + 1},
    (_, k) => Math.exp(-((k - reach) ** 2) / (2 * sigma ** 2)));
  const total = weights.reduce((a, b) => a + b);
  const once = (data, count, length, step, next) => {
    const result = new Float32Array(data.length);
    for (let line = 0; line < count; line++) {
      for (let i = 0; i < length; i++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) {
          sum += weights[k + reach] *
              data[line * next + step * mirrorInner(i + k, length)];
        }
        result[line * next + step * i] = sum / total;
      }
    }
    return result;
  };
  const across = once(source.data, rows, columns, 1, columns);
  return {data: once(across, columns, rows, columns, 1), rows, columns};
}

/** Mirrors an index at the border, with the border pixel twice. */
function mirror(i, size) {
  while (i < 0 || i >= size) i = i < 0 ? -i - 1 : 2 * size - 1 - i;
  return i;
}

/** Mirrors an index at the border pixel. */
function mirrorInner(i, size) {
  if (size === 1) return 0;
  while (i < 0 || i >= size) i = i < 0 ? -i : 2 * size - 2 - i;
  return i;
}
