// Turns a box around an object into its mask, as `from_box` of
// vidcolor/tracking/box_to_mask.py does: its docstring says how, and it has the
// source of all numbers here.

import {area, linear, plane, resized} from './planes.js';

const MARGIN = 0.3;
const MAX_CELLS = 2500;
const TEMPERATURE = 0.07;
const DISTANCE = 0.3;
const VOTE_COLOR = [0.01, 0.02, 0.02];
const SIMILAR = 60;
const CENTER = 4;
const KEEP = 0.03;
const ROUNDS = 30;
const MAX_PIXELS = 10_000;
const OBJECT = 0.9;
const COLOR = 0.5;
const COLOR_ROUNDS = 3;
const BIN = [4, 7, 7];
const RARE = 3e-5;
const NEIGHBOR = 0.15;
const NEIGHBOR_ROUNDS = 8;
const REACH = 2;
const CONTRAST = 8;
const RIM = 0.8;
const SPECK = 0.1;
const LEAST_SHARE = 0.05;

/**
 * Returns the mask of the object in a box, a Uint8Array of 0 and 1.
 *
 * It is the whole box if nothing in it differs from its surroundings.
 *
 * @param embedding The embedding of the frame, as in copying.js.
 * @param picture The frame: ImageData.
 * @param box Corners x0, y0, x1, y1 in pixels.
 */
export function boxToMask(embedding, picture, box) {
  const {width, height} = picture;
  const across = side(box[0], box[2], width);
  const down = side(box[1], box[3], height);
  const rows = down.count, columns = across.count;
  const crop = [0, 1, 2].map((c) => plane(rows, columns, (i) => {
    const x = across.start + i % columns;
    const y = down.start + Math.floor(i / columns);
    return picture.data[4 * (y * width + x) + c];
  }));
  const inside = plane(rows, columns, (i) => Number(
    Math.abs(across.place(i % columns)) < 1 &&
    Math.abs(down.place(Math.floor(i / columns))) < 1));
  const cells = vote(embedding, crop, across, down, width, height);
  const share = resized(cells, rows, columns, linear);
  const found = withoutSpecks(outline(crop, share, inside));
  const sum = ({data}) => data.reduce((a, b) => a + b);
  const chosen = sum(found) >= LEAST_SHARE * sum(inside) ? found : inside;
  const mask = new Uint8Array(width * height);
  for (let y = 0; y < rows; y++) {
    const row = chosen.data.subarray(y * columns, (y + 1) * columns);
    mask.set(row, (down.start + y) * width + across.start);
  }
  return mask;
}

/** Returns the pixels around one side of the box, and their place in it. */
function side(low, high, size) {
  low = Math.max(0, Math.floor(low));
  high = Math.min(size, Math.ceil(high));
  const margin = 4 + Math.round(MARGIN * (high - low));
  const start = Math.max(0, low - margin);
  const count = Math.min(size, high + margin) - start;
  const middle = (low + high) / 2, half = (high - low) / 2;
  return {start, count, place: (i) => (start + i + 0.5 - middle) / half};
}

/** Returns the object's share, 0 to 1, in each cell of a grid. */
function vote(embedding, crop, across, down, width, height) {
  const inCells = [
    down.count * embedding.rows / height,
    across.count * embedding.columns / width,
  ];
  const scale = Math.min(1, Math.sqrt(MAX_CELLS / (inCells[0] * inCells[1])));
  const [rows, columns] = inCells.map(
    (count) => Math.max(1, Math.round(count * scale)));
  const at = ({count}, i, cells) => Math.floor((i + 0.5) / cells * count);
  const place = [];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [py, px] = [at(down, y, rows), at(across, x, columns)];
      place.push({
        y: down.place(py),
        x: across.place(px),
        row: Math.floor((down.start + py) * embedding.rows / height),
        column: Math.floor((across.start + px) * embedding.columns / width),
      });
    }
  }
  const keys = keysOf(embedding, crop, place, rows, columns);
  const reach = place.map(({x, y}) => Math.max(Math.abs(x), Math.abs(y)));
  const limit = reach.every((r) => r < 1) ? RIM : 1;
  const prior = place.map(
    ({x, y}) => sigmoid(CENTER * (1 - Math.hypot(x, y))));
  let label = Float32Array.from(
    prior, (share, i) => reach[i] < limit ? share : 0);
  const {best, weights, count} = matches(keys, place.length);
  for (let round = 0; round < ROUNDS && count; round++) {
    label = label.map((_, i) => {
      if (!(reach[i] < limit)) return 0;
      let copied = 0;
      for (let k = i * count; k < (i + 1) * count; k++) {
        copied += weights[k] * label[best[k]];
      }
      return (1 - KEEP) * copied + KEEP * prior[i];
    });
  }
  return {data: label, rows, columns};
}

/** Returns embedding, color and place of each cell, in one array. */
function keysOf(embedding, crop, place, rows, columns) {
  const {data, stride, dim} = embedding;
  const colors = labOf(crop.map((color) => {
    const small = resized(color, rows, columns, area);
    return plane(rows, columns, (i) => Math.round(small.data[i]));
  }));
  const size = dim + 5;
  const keys = new Float32Array(place.length * size);
  place.forEach(({x, y, row, column}, i) => {
    const key = keys.subarray(i * size, (i + 1) * size);
    let norm = 0;
    for (let d = 0; d < dim; d++) {
      key[d] = data[(row * dim + d) * stride + column];
      norm += key[d] ** 2;
    }
    norm = Math.max(Math.sqrt(norm), 1e-12);
    for (let d = 0; d < dim; d++) key[d] /= norm;
    for (let c = 0; c < 3; c++) {
      key[dim + c] = colors[c].data[i] * VOTE_COLOR[c];
    }
    key[dim + 3] = DISTANCE * x;
    key[dim + 4] = DISTANCE * y;
  });
  return keys;
}

/** Returns the most similar cells of each cell, and their weights. */
function matches(keys, size) {
  const dim = keys.length / size;
  const count = Math.min(SIMILAR, size - 1);
  const half = new Float32Array(size);
  for (let i = 0; i < keys.length; i++) {
    half[Math.floor(i / dim)] += keys[i] ** 2 / 2;
  }
  const best = new Int32Array(size * count);
  const weights = new Float32Array(size * count);
  const scores = new Float32Array(size);
  for (let i = 0; i < size && count; i++) {
    for (let j = 0; j < size; j++) {
      let sum = -half[j];
      for (let d = 0; d < dim; d++) sum += keys[i * dim + d] * keys[j * dim + d];
      scores[j] = sum;
    }
    scores[i] = -Infinity;
    const sorted = scores.slice().sort();
    const least = sorted[size - count], most = sorted[size - 1];
    let k = i * count, total = 0;
    for (let j = 0; j < size && k < (i + 1) * count; j++) {
      if (scores[j] < least) continue;
      best[k] = j;
      weights[k] = Math.exp((scores[j] - most) / TEMPERATURE);
      total += weights[k++];
    }
    for (k = i * count; k < (i + 1) * count; k++) weights[k] /= total;
  }
  return {best, weights, count};
}

/** Returns the object's pixels: the vote, corrected by color and neighbors. */
function outline(crop, votes, inside) {
  const scale = Math.min(1, Math.sqrt(MAX_PIXELS / votes.data.length));
  const rows = Math.max(1, Math.round(votes.rows * scale));
  const columns = Math.max(1, Math.round(votes.columns * scale));
  const small = (source) => resized(source, rows, columns, area);
  const lab = labOf(crop.map(small));
  const given = small(votes).data, free = small(inside).data;
  const isFree = (i) => free[i] > 0.5;
  const prior = given.map(
    (share) => OBJECT + Math.log((share + 0.01) / (1.01 - share)));
  let share = given.map((value, i) => isFree(i) ? value : 0);
  const neighbors = neighborsOf(lab, rows, columns);
  const color = colorScorer(lab);
  for (let round = 0; round < COLOR_ROUNDS; round++) {
    const likelier = color(share);
    const score = prior.map((value, i) => value + COLOR * likelier[i]);
    share = score.map((value, i) => isFree(i) ? sigmoid(value) : 0);
    for (let again = 0; again < NEIGHBOR_ROUNDS; again++) {
      const sum = new Float32Array(share.length);
      for (const {shift, weight} of neighbors) {
        for (let i = 0; i < sum.length; i++) {
          if (weight[i]) sum[i] += weight[i] * (2 * share[i - shift] - 1);
        }
      }
      share = score.map(
        (value, i) => isFree(i) ? sigmoid(value + NEIGHBOR * sum[i]) : 0);
    }
  }
  const large = resized(
    {data: share, rows, columns}, votes.rows, votes.columns, linear);
  return plane(votes.rows, votes.columns, (i) =>
    Number(large.data[i] > 0.5 && inside.data[i] > 0));
}

/** Returns a function that tells how much likelier colors are in the object. */
function colorScorer(lab) {
  const bins = lab.map(({data}, c) => data.map(
    (value) => Math.trunc((value + (c ? 128 : 0)) / BIN[c])));
  const shape = bins.map((values) => Math.max(...values) + 1);
  const index = bins[0].map(
    (l, i) => (l * shape[1] + bins[1][i]) * shape[2] + bins[2][i]);
  const density = (weights) => {
    const counts = new Float64Array(shape[0] * shape[1] * shape[2]);
    let total = 0;
    weights.forEach((weight, i) => {
      counts[index[i]] += weight;
      total += weight;
    });
    const smooth = smoothed(counts, shape);
    return index.map((bin) => smooth[bin] / Math.max(total, 1) + RARE);
  };
  return (share) => {
    const on = density(share), off = density(share.map((value) => 1 - value));
    return on.map((value, i) => Math.log(value / off[i]));
  };
}

/** Blurs a histogram of three axes by a Gaussian of one bin. */
function smoothed(counts, shape) {
  const reach = 4;
  const weights = Array.from(
    {length: 2 * reach + 1}, (_, k) => Math.exp(-((k - reach) ** 2) / 2));
  const total = weights.reduce((a, b) => a + b);
  let step = 1;
  for (let axis = 2; axis >= 0; axis--) {
    const result = new Float64Array(counts.length);
    const size = shape[axis];
    for (let i = 0; i < counts.length; i++) {
      if (!counts[i]) continue;
      const at = Math.floor(i / step) % size;
      const low = Math.max(-reach, -at);
      const high = Math.min(reach, size - 1 - at);
      for (let k = low; k <= high; k++) {
        result[i + k * step] += counts[i] * weights[k + reach] / total;
      }
    }
    counts = result;
    step *= size;
  }
  return counts;
}

/** Returns shifts to neighbors, and the weight of each pixel's neighbor. */
function neighborsOf(lab, rows, columns) {
  const neighbors = [];
  for (let dy = -REACH; dy <= REACH; dy++) {
    for (let dx = -REACH; dx <= REACH; dx++) {
      if (!dy && !dx) continue;
      const shift = dy * columns + dx;
      const weight = plane(rows, columns, (i) => {
        const x = i % columns - dx, y = Math.floor(i / columns) - dy;
        if (x < 0 || y < 0 || x >= columns || y >= rows) return 0;
        let contrast = 0;
        for (const {data} of lab) contrast += (data[i - shift] - data[i]) ** 2;
        return Math.exp(-contrast / (2 * CONTRAST ** 2)) / Math.hypot(dy, dx);
      }).data;
      neighbors.push({shift, weight});
    }
  }
  return neighbors;
}

/** Removes pieces that are much smaller than the largest one. */
function withoutSpecks({data, rows, columns}) {
  const piece = new Int32Array(data.length);
  const areas = [0];
  for (let seed = 0; seed < data.length; seed++) {
    if (!data[seed] || piece[seed]) continue;
    const number = areas.length;
    const open = [seed];
    piece[seed] = number;
    areas.push(0);
    while (open.length) {
      const i = open.pop();
      areas[number]++;
      const x = i % columns, y = Math.floor(i / columns);
      for (let v = Math.max(0, y - 1); v <= Math.min(rows - 1, y + 1); v++) {
        for (
          let u = Math.max(0, x - 1); u <= Math.min(columns - 1, x + 1); u++) {
          const j = v * columns + u;
          if (data[j] && !piece[j]) {
            piece[j] = number;
            open.push(j);
          }
        }
      }
    }
  }
  const least = SPECK * Math.max(...areas);
  return plane(rows, columns, (i) =>
    Number(piece[i] > 0 && areas[piece[i]] >= least));
}

/** Converts planes of sRGB, 0 to 255, to CIE Lab. */
function labOf(rgb) {
  const {rows, columns} = rgb[0];
  const [l, a, b] = [0, 1, 2].map(() => plane(rows, columns));
  for (let i = 0; i < l.data.length; i++) {
    const [red, green, blue] = rgb.map(({data}) => {
      const value = data[i] / 255;
      return value > 0.04045
          ? ((value + 0.055) / 1.055) ** 2.4 : value / 12.92;
    });
    const [x, y, z] = [
      (0.412453 * red + 0.357580 * green + 0.180423 * blue) / 0.950456,
      0.212671 * red + 0.715160 * green + 0.072169 * blue,
      (0.019334 * red + 0.119193 * green + 0.950227 * blue) / 1.088754,
    ].map((value) => value > 0.008856
        ? Math.cbrt(value) : 7.787 * value + 16 / 116);
    l.data[i] = 116 * y - 16;
    a.data[i] = 500 * (x - y);
    b.data[i] = 200 * (y - z);
  }
  return [l, a, b];
}

function sigmoid(score) {
  return 1 / (1 + Math.exp(-score));
}
