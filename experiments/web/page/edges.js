// Reads masks off coarse labels along the edges of the frame, as
// vidcolor/tracking/edges.py does: its docstring says how, and why.

import {area, blurred, boxMean, linear, plane, resized} from './planes.js';

const SAMPLES = 2; // In a cell, along each side.
const RADIUS = 4; // Of the windows of the fit, in samples.
const EPSILON = 3e-4; // Edges of a smaller variance are not followed.
const BLUR = 2; // In cells.

/**
 * Returns the most likely label of each pixel, a Uint8Array.
 *
 * @param labels Labels [rows, columns, count].
 * @param grid {rows, columns} of the labels.
 * @param frame {data, width, height}: RGBA, as of an ImageData.
 */
export function maskAlongEdges(labels, grid, frame) {
  const count = labels.length / (grid.rows * grid.columns);
  const refine = refiner(frame, grid);
  const size = frame.width * frame.height;
  const best = new Float32Array(size).fill(1);
  const refined = [];
  for (let l = 1; l < count; l++) {
    const label = plane(
      grid.rows, grid.columns, (i) => labels[i * count + l]);
    refined.push(refine(label));
    const {data} = refined.at(-1);
    for (let i = 0; i < size; i++) best[i] -= data[i];
  }
  const mask = new Uint8Array(size);
  refined.forEach(({data}, n) => {
    for (let i = 0; i < size; i++) {
      if (data[i] > best[i]) {
        mask[i] = n + 1;
        best[i] = data[i];
      }
    }
  });
  return mask;
}

/** Returns a function that brings a label from the grid to the frame. */
function refiner(frame, grid) {
  const rows = grid.rows * SAMPLES, columns = grid.columns * SAMPLES;
  const mean = (source) => boxMean(source, RADIUS);
  const product = (a, b) => plane(
    rows, columns, (i) => a.data[i] * b.data[i]);
  const pixels = [0, 1, 2].map((c) => plane(
    frame.height, frame.width, (i) => frame.data[4 * i + c]));
  // Colors are 0 to 1, after they are rounded as in an 8-bit picture.
  const colors = pixels.map((color) => {
    const shrunk = resized(color, rows, columns, area);
    return plane(rows, columns, (i) => Math.round(shrunk.data[i]) / 255);
  });
  for (const {data} of pixels) {
    for (let i = 0; i < data.length; i++) data[i] /= 255;
  }
  const means = colors.map(mean);
  const covariance = [0, 1, 2].map((i) => [0, 1, 2].slice(0, i + 1).map((j) => {
    const together = mean(product(colors[i], colors[j]));
    return plane(rows, columns, (k) =>
      together.data[k] - means[i].data[k] * means[j].data[k] +
      (i === j ? EPSILON : 0));
  }));
  const factors = factorize(covariance);

  return (label) => {
    const blur = blurred(label, BLUR);
    const sharp = plane(
      label.rows, label.columns, (i) => 2 * label.data[i] - blur.data[i]);
    const sampled = resized(sharp, rows, columns, linear);
    const average = mean(sampled);
    const slopes = solve(factors, colors.map((color, i) => {
      const together = mean(product(sampled, color));
      return plane(rows, columns, (k) =>
        together.data[k] - average.data[k] * means[i].data[k]);
    }));
    const offset = plane(rows, columns, (k) =>
      average.data[k] - slopes[0].data[k] * means[0].data[k] -
      slopes[1].data[k] * means[1].data[k] -
      slopes[2].data[k] * means[2].data[k]);
    const enlarged = (source) => resized(
      mean(source), frame.height, frame.width, linear).data;
    const refined = enlarged(offset).slice();
    slopes.forEach((slope, c) => {
      const big = enlarged(slope);
      const {data} = pixels[c];
      for (let i = 0; i < refined.length; i++) refined[i] += big[i] * data[i];
    });
    return {data: refined, rows: frame.height, columns: frame.width};
  };
}

/** Eliminates the lower half of a symmetric 3 x 3 matrix at each pixel. */
function factorize([[a], [b, d], [c, e, f]]) {
  const {rows, columns} = a;
  const at = (valueAt) => plane(rows, columns, valueAt).data;
  const ba = at((i) => b.data[i] / a.data[i]);
  const ca = at((i) => c.data[i] / a.data[i]);
  const d2 = at((i) => d.data[i] - ba[i] * b.data[i]);
  const e2 = at((i) => e.data[i] - ca[i] * b.data[i]);
  const ed = at((i) => e2[i] / d2[i]);
  const f2 = at((i) => f.data[i] - ca[i] * c.data[i] - ed[i] * e2[i]);
  return {a: a.data, b: b.data, c: c.data, ba, ca, d2, e2, ed, f2};
}

/** Solves the system of `factorize` for a vector of planes. */
function solve({a, b, c, ba, ca, d2, e2, ed, f2}, [u, v, w]) {
  const {rows, columns} = u;
  const [x, y, z] = [0, 1, 2].map(() => plane(rows, columns));
  for (let i = 0; i < a.length; i++) {
    const v2 = v.data[i] - ba[i] * u.data[i];
    const w2 = w.data[i] - ca[i] * u.data[i] - ed[i] * v2;
    z.data[i] = w2 / f2[i];
    y.data[i] = (v2 - e2[i] * z.data[i]) / d2[i];
    x.data[i] = (u.data[i] - b[i] * y.data[i] - c[i] * z.data[i]) / a[i];
  }
  return [x, y, z];
}
