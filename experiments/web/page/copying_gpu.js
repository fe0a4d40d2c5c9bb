// The copy operation of copying.js on a GPU: one thread for each position.

import {embeddingOf, startLabels} from './copying.js';

const THREADS = 64; // In a workgroup.

// Positions that lie side by side read neighboring numbers, because embeddings
// are stored by row, then by dimension, then by column: see copying.ts.
const shader = (dim, topK) => `
struct Sizes {
  rows: i32, columns: i32, stride: i32, references: i32, labels: i32,
  needed: i32, radius: f32, temperature: f32,
}
@group(0) @binding(0) var<uniform> sizes: Sizes;
@group(0) @binding(1) var<storage, read> embeddings: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<f32>;
@group(0) @binding(3) var<storage, read> needed: array<i32>;
@group(0) @binding(4) var<storage, read_write> copied: array<f32>;

@compute @workgroup_size(${THREADS})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = i32(id.x);
  if (n >= sizes.needed) { return; }
  let y = needed[n] / sizes.columns;
  let x = needed[n] % sizes.columns;
  let frame = sizes.rows * ${dim} * sizes.stride;
  // The target is the first of the embeddings.
  var own: array<f32, ${dim}>;
  for (var d = 0; d < ${dim}; d++) {
    own[d] = embeddings[(y * ${dim} + d) * sizes.stride + x];
  }
  var best: array<f32, ${topK}>;
  var place: array<i32, ${topK}>;
  for (var k = 0; k < ${topK}; k++) {
    best[k] = -1e30;
    place[k] = -1;
  }
  let reach = i32(sizes.radius);
  for (var r = 0; r < sizes.references; r++) {
    for (var v = max(0, y - reach); v <= min(sizes.rows - 1, y + reach); v++) {
      let down = f32(v - y);
      let wide = i32(sqrt(sizes.radius * sizes.radius - down * down));
      let row = (r + 1) * frame + v * ${dim} * sizes.stride;
      let end = min(sizes.columns - 1, x + wide);
      for (var u = max(0, x - wide); u <= end; u++) {
        var score = 0.0;
        for (var d = 0; d < ${dim}; d++) {
          score += own[d] * embeddings[row + d * sizes.stride + u];
        }
        if (score > best[${topK - 1}]) {
          var k = ${topK - 1};
          while (k > 0 && score > best[max(k - 1, 0)]) {
            best[k] = best[k - 1];
            place[k] = place[k - 1];
            k--;
          }
          best[k] = score;
          place[k] = (r * sizes.rows + v) * sizes.columns + u;
        }
      }
    }
  }
  for (var l = 0; l < sizes.labels; l++) {
    var sum = 0.0;
    var total = 0.0;
    for (var k = 0; k < ${topK}; k++) {
      if (place[k] < 0) { break; }
      let weight = exp((best[k] - best[0]) / sizes.temperature);
      sum += weight * labels[place[k] * sizes.labels + l];
      total += weight;
    }
    copied[n * sizes.labels + l] = sum / total;
  }
}`;

/**
 * Returns a function as `makeCopy` in copying.js does, but an async one.
 *
 * @throws If there is no GPU.
 */
export async function makeGpuCopy() {
  const adapter = await navigator.gpu.requestAdapter();
  const {maxStorageBufferBindingSize, maxBufferSize} = adapter.limits;
  const device = await adapter.requestDevice({requiredLimits: {
    maxStorageBufferBindingSize, maxBufferSize,
  }});
  const pipelines = new Map();
  const pipelineFor = (dim, topK) => {
    const name = `${dim} ${topK}`;
    if (!pipelines.has(name)) {
      const module = device.createShaderModule({code: shader(dim, topK)});
      pipelines.set(name, device.createComputePipeline(
        {layout: 'auto', compute: {module, entryPoint: 'main'}}));
    }
    return pipelines.get(name);
  };

  return async (target, references, options) => {
    const {rows, columns, stride, dim} = target;
    const size = rows * columns;
    const numLabels = references[0].labels.length / size;
    const flags = new Uint8Array(size);
    const result = startLabels(references, rows, columns, options, flags);
    const needed = Int32Array.from(flags.keys()).filter((i) => flags[i]);
    if (!needed.length) return result;
    const sizes = new ArrayBuffer(32);
    new Int32Array(sizes).set(
      [rows, columns, stride, references.length, numLabels, needed.length]);
    new Float32Array(sizes, 24).set([options.radius, options.temperature]);
    const bytes = 4 * needed.length * numLabels;

    const {STORAGE, UNIFORM, COPY_DST, COPY_SRC, MAP_READ} = GPUBufferUsage;
    const made = [];
    const buffer = (size, usage) => {
      made.push(device.createBuffer({size, usage}));
      return made.at(-1);
    };
    const filled = (arrays, usage) => {
      const size = arrays.reduce((sum, array) => sum + array.byteLength, 0);
      const filled = buffer(size, usage | COPY_DST);
      let at = 0;
      for (const array of arrays) {
        device.queue.writeBuffer(filled, at, array);
        at += array.byteLength;
      }
      return filled;
    };
    const embeddings = [target, ...references.map((r) => r.embedding)];
    const output = buffer(bytes, STORAGE | COPY_SRC);
    const buffers = [
      filled([sizes], UNIFORM),
      filled(embeddings.map(({data}) => data), STORAGE),
      filled(references.map(({labels}) => labels), STORAGE),
      filled([needed], STORAGE),
      output,
    ];
    const read = buffer(bytes, COPY_DST | MAP_READ);
    const pipeline = pipelineFor(dim, options.top_k);
    const commands = device.createCommandEncoder();
    const pass = commands.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: buffers.map((buffer, binding) => (
        {binding, resource: {buffer}})),
    }));
    pass.dispatchWorkgroups(Math.ceil(needed.length / THREADS));
    pass.end();
    commands.copyBufferToBuffer(output, 0, read, 0, bytes);
    device.queue.submit([commands.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    const copied = new Float32Array(read.getMappedRange());
    needed.forEach((cell, n) => {
      for (let l = 0; l < numLabels; l++) {
        result[cell * numLabels + l] = copied[n * numLabels + l];
      }
    });
    made.forEach((each) => each.destroy());
    return result;
  };
}

/** Returns whether two functions copy the same, for random numbers. */
export async function copyAlike(copy, other) {
  const [rows, columns, dim] = [6, 10, 8];
  const random = (length) => Float32Array.from({length}, Math.random);
  const embedding = () => embeddingOf(
    random(rows * columns * dim), rows, columns);
  const target = embedding();
  const references = [0, 1].map(() => (
    {embedding: embedding(), labels: random(2 * rows * columns)}));
  const options = {radius: 3, top_k: 4, temperature: 0.5};
  const [a, b] = [
    await copy(target, references, options),
    await other(target, references, options),
  ];
  return a.every((value, i) => Math.abs(value - b[i]) < 1e-3);
}
