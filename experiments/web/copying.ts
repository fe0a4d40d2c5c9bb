// The copy within windows, from the best matches, in WebAssembly with SIMD.
//
// AssemblyScript: TypeScript whose numbers have the types of WebAssembly.
// copying.js gives it memory, and says which positions need a copy.
//
// A vector holds 4 neighboring positions. So embeddings are stored by row, then
// by dimension, then by column: [rows, dim, stride]. The stride is a multiple
// of 8, and at least the number of columns. Four targets that lie side by side
// are compared with 8 references at once: their windows are nearly the same.

const MASKED: f32 = -1e30;

/** Finds the best matches of each target, and copies their mean label.
 *
 * @param rows Rows of the grid.
 * @param columns Columns of the grid.
 * @param stride Columns of the grid in memory.
 * @param dim Size of an embedding.
 * @param target Address of the target's embeddings.
 * @param references Address of a list of addresses: embeddings and labels of
 *   each reference. Labels are stored as [rows, columns, numLabels].
 * @param numReferences Number of references.
 * @param numLabels Number of labels.
 * @param radius Radius of the window, in cells.
 * @param topK Number of best matches.
 * @param temperature Divisor of the dot products.
 * @param needed Address of a byte for each target: 0 if its output stays.
 * @param best Address of room for the matches of 4 targets: 8 * topK floats.
 * @param output Address of the copied labels, [rows, columns, numLabels].
 */
export function copy(
  rows: i32,
  columns: i32,
  stride: i32,
  dim: i32,
  target: usize,
  references: usize,
  numReferences: i32,
  numLabels: i32,
  radius: f32,
  topK: i32,
  temperature: f32,
  needed: usize,
  best: usize,
  output: usize,
): void {
  const reach = <i32>radius;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x += 4) {
      let isNeeded = false;
      for (let t = 0; t < min(4, columns - x); t++) {
        if (load<u8>(needed + y * columns + x + t)) isNeeded = true;
      }
      if (!isNeeded) continue;
      for (let i = 0; i < 4 * topK; i++) {
        store<f32>(best + 8 * i, MASKED);
      }
      const targets = target + 4 * (y * dim * stride + x);
      for (let r = 0; r < numReferences; r++) {
        const reference = load<u32>(references + 8 * r);
        const labels = load<u32>(references + 8 * r + 4);
        for (let ry = max(0, y - reach); ry < min(rows, y + reach + 1); ry++) {
          const down = <f32>(ry - y);
          const wide = <i32>Math.floor(
            Math.sqrt(<f64>(radius * radius - down * down)),
          );
          const row = reference + 4 * ry * dim * stride;
          const end = min(columns, x + 4 + wide);
          for (let rx = max(0, x - wide); rx < end; rx += 8) {
            compare(
              targets, row + 4 * rx, stride, dim, x, rx, wide, columns,
              labels + 4 * ry * columns * numLabels, numLabels, topK, best,
            );
          }
        }
      }
      for (let t = 0; t < min(4, columns - x); t++) {
        const cell = y * columns + x + t;
        if (!load<u8>(needed + cell)) continue;
        average(
          best + 8 * t * topK, topK, temperature, numLabels,
          output + 4 * cell * numLabels,
        );
      }
    }
  }
}

/** Compares 4 targets with 8 references, and keeps the best matches. */
// @ts-ignore: decorators are valid here
@inline
function compare(
  targets: usize,
  reference: usize,
  stride: i32,
  dim: i32,
  x: i32,
  rx: i32,
  wide: i32,
  columns: i32,
  labels: usize,
  numLabels: i32,
  topK: i32,
  best: usize,
): void {
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0;
  let c0 = a0, c1 = a0, d0 = a0, d1 = a0;
  for (let d = 0; d < dim; d++) {
    const r0 = v128.load(reference);
    const r1 = v128.load(reference, 16);
    const a = v128.load_splat<f32>(targets);
    a0 = f32x4.add(a0, f32x4.mul(a, r0));
    a1 = f32x4.add(a1, f32x4.mul(a, r1));
    const b = v128.load_splat<f32>(targets, 4);
    b0 = f32x4.add(b0, f32x4.mul(b, r0));
    b1 = f32x4.add(b1, f32x4.mul(b, r1));
    const c = v128.load_splat<f32>(targets, 8);
    c0 = f32x4.add(c0, f32x4.mul(c, r0));
    c1 = f32x4.add(c1, f32x4.mul(c, r1));
    const e = v128.load_splat<f32>(targets, 12);
    d0 = f32x4.add(d0, f32x4.mul(e, r0));
    d1 = f32x4.add(d1, f32x4.mul(e, r1));
    reference += 4 * stride;
    targets += 4 * stride;
  }
  const size = 8 * topK;
  keep(a0, rx, x, wide, columns, labels, numLabels, topK, best);
  keep(a1, rx + 4, x, wide, columns, labels, numLabels, topK, best);
  best += size;
  keep(b0, rx, x + 1, wide, columns, labels, numLabels, topK, best);
  keep(b1, rx + 4, x + 1, wide, columns, labels, numLabels, topK, best);
  best += size;
  keep(c0, rx, x + 2, wide, columns, labels, numLabels, topK, best);
  keep(c1, rx + 4, x + 2, wide, columns, labels, numLabels, topK, best);
  best += size;
  keep(d0, rx, x + 3, wide, columns, labels, numLabels, topK, best);
  keep(d1, rx + 4, x + 3, wide, columns, labels, numLabels, topK, best);
}

/** Keeps those of 4 scores that are in the window and among the best. */
// @ts-ignore: decorators are valid here
@inline
function keep(
  scores: v128,
  rx: i32,
  x: i32,
  wide: i32,
  columns: i32,
  labels: usize,
  numLabels: i32,
  topK: i32,
  best: usize,
): void {
  const least = v128.load_splat<f32>(best + 8 * (topK - 1));
  const bits = i32x4.bitmask(f32x4.gt(scores, least));
  if (bits) {
    keepSome(
      scores, bits, rx, x, wide, columns, labels, numLabels, topK, best,
    );
  }
}

function keepSome(
  scores: v128,
  bits: i32,
  rx: i32,
  x: i32,
  wide: i32,
  columns: i32,
  labels: usize,
  numLabels: i32,
  topK: i32,
  best: usize,
): void {
  if (bits & 1) {
    insert(
      f32x4.extract_lane(scores, 0), rx, x, wide, columns, labels,
      numLabels, topK, best,
    );
  }
  if (bits & 2) {
    insert(
      f32x4.extract_lane(scores, 1), rx + 1, x, wide, columns, labels,
      numLabels, topK, best,
    );
  }
  if (bits & 4) {
    insert(
      f32x4.extract_lane(scores, 2), rx + 2, x, wide, columns, labels,
      numLabels, topK, best,
    );
  }
  if (bits & 8) {
    insert(
      f32x4.extract_lane(scores, 3), rx + 3, x, wide, columns, labels,
      numLabels, topK, best,
    );
  }
}

/** Inserts a score and the address of its labels; the best come first. */
function insert(
  score: f32,
  rx: i32,
  x: i32,
  wide: i32,
  columns: i32,
  labels: usize,
  numLabels: i32,
  topK: i32,
  best: usize,
): void {
  if (rx >= columns || abs(rx - x) > wide) return;
  let at = best + 8 * (topK - 1);
  if (score <= load<f32>(at)) return;
  while (at > best && score > load<f32>(at - 8)) {
    store<u64>(at, load<u64>(at - 8));
    at -= 8;
  }
  store<f32>(at, score);
  store<u32>(at + 4, labels + 4 * rx * numLabels);
}

/** Writes the mean of the labels of the best matches, weighted by softmax. */
function average(
  best: usize,
  topK: i32,
  temperature: f32,
  numLabels: i32,
  output: usize,
): void {
  const first = load<f32>(best);
  let total: f32 = 0;
  for (let l = 0; l < numLabels; l++) store<f32>(output + 4 * l, 0);
  for (let k = 0; k < topK; k++) {
    const score = load<f32>(best + 8 * k);
    if (score == MASKED) break;
    const weight = <f32>Math.exp(<f64>((score - first) / temperature));
    const labels = load<u32>(best + 8 * k + 4);
    total += weight;
    for (let l = 0; l < numLabels; l++) {
      const sum = load<f32>(output + 4 * l);
      store<f32>(output + 4 * l, sum + weight * load<f32>(labels + 4 * l));
    }
  }
  for (let l = 0; l < numLabels; l++) {
    store<f32>(output + 4 * l, load<f32>(output + 4 * l) / total);
  }
}
