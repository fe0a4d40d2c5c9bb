// The copy operation: positions copy labels from the best matches near them.
//
// A grid is {rows, columns}. An embedding is {rows, columns, stride, dim, data};
// copying.ts says how `data` is stored. Labels are a Float32Array
// [rows, columns, labels], whose first label is the background.

// Labels count as equal if they differ by at most this, because copies round.
const EQUAL = 2 ** -18;
const PAGE = 65536; // Bytes of a page of WebAssembly's memory.

/** Returns an embedding, stored for copies, from [rows, columns, dim]. */
export function embeddingOf(values, rows, columns) {
  const dim = values.length / (rows * columns);
  // 8 more columns, because copies read 8 positions at once.
  const stride = 8 * Math.ceil(columns / 8) + 8;
  const data = new Float32Array(rows * dim * stride);
  for (let y = 0, from = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      let to = y * dim * stride + x;
      for (let d = 0; d < dim; d++, to += stride) data[to] = values[from++];
    }
  }
  return {rows, columns, stride, dim, data};
}

/**
 * Returns a function `copy(target, references, options)`.
 *
 * `target` is an embedding. `references` are [{embedding, labels}]. `options`
 * has `radius`, `top_k` and `temperature`. The result are labels.
 *
 * @param wasm The bytes of copying.wasm.
 */
export async function makeCopy(wasm) {
  const {instance} = await WebAssembly.instantiate(wasm, {
    env: {abort: () => { throw new Error('copying.wasm stopped'); }},
  });
  const {copy, memory} = instance.exports;
  const base = memory.buffer.byteLength;

  return (target, references, options) => {
    const {rows, columns, stride, dim} = target;
    const numLabels = references[0].labels.length / (rows * columns);
    const needed = new Uint8Array(rows * columns);
    const labels = startLabels(references, rows, columns, options, needed);

    // Lays all arrays out in memory, one after the other.
    let end = base;
    const room = (bytes) => {
      const start = end;
      end += 16 * Math.ceil(bytes / 16);
      return start;
    };
    const arrays = [];
    const put = (array) => {
      const address = room(array.byteLength);
      arrays.push([address, array]);
      return address;
    };
    const addresses = new Uint32Array(
      references.flatMap((reference) => [
        put(reference.embedding.data), put(reference.labels),
      ]));
    const places = [put(target.data), put(addresses)];
    const flags = put(needed);
    const best = room(32 * options.top_k);
    const output = put(labels);
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    const bytes = new Uint8Array(memory.buffer);
    for (const [address, array] of arrays) {
      bytes.set(
        new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
        address);
    }
    copy(
      rows, columns, stride, dim, ...places, references.length, numLabels,
      options.radius, options.top_k, options.temperature, flags, best, output);
    return new Float32Array(memory.buffer.slice(
      output, output + labels.byteLength));
  };
}

/**
 * Returns the labels of positions that need no copy, and marks the others.
 *
 * Where all labels in the window are equal, so is what is copied from them.
 * This is the background, far from all objects.
 */
export function startLabels(references, rows, columns, options, needed) {
  const size = rows * columns;
  const common = commonest(references[0].labels, size);
  const differs = new Uint8Array(size);
  for (const {labels} of references) {
    for (let i = 0; i < labels.length; i++) {
      if (!(Math.abs(labels[i] - common[i % common.length]) <= EQUAL)) {
        differs[Math.floor(i / common.length)] = 1;
      }
    }
  }
  markWindows(differs, rows, columns, options.radius, needed);
  const start = new Float32Array(size * common.length);
  for (let i = 0; i < start.length; i++) start[i] = common[i % common.length];
  return start;
}

/** Returns the label vector that nearly all positions have. */
function commonest(labels, size) {
  const count = labels.length / size;
  return Array.from({length: count}, (_, label) => {
    let sum = 0;
    for (let i = label; i < labels.length; i += count) sum += labels[i];
    return sum > size / 2 ? 1 : 0;
  });
}

/** Marks each position that has a marked one within the radius. */
function markWindows(marked, rows, columns, radius, result) {
  const reach = Math.floor(radius);
  const before = new Int32Array(columns + 1);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      before[x + 1] = before[x] + marked[y * columns + x];
    }
    if (!before[columns]) continue;
    for (let dy = -reach; dy <= reach; dy++) {
      if (y + dy < 0 || y + dy >= rows) continue;
      const wide = Math.floor(Math.sqrt(radius ** 2 - dy ** 2));
      for (let x = 0; x < columns; x++) {
        const low = Math.max(0, x - wide);
        const high = Math.min(columns, x + wide + 1);
        if (before[high] > before[low]) result[(y + dy) * columns + x] = 1;
      }
    }
  }
}
