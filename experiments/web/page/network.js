// The network: from a picture to its embedding, by ONNX Runtime Web.

import {embeddingOf} from './copying.js';
import {roundHalfEven} from './following.js';
import {antialias, plane, resized} from './planes.js';

const SIDE_MULTIPLE = 8;

/**
 * Loads the network.
 *
 * It runs on the GPU if there is one, else on the CPU: with several threads
 * where the page is isolated from other sites, else with one.
 *
 * @param gpu Whether the GPU may be used.
 * @return {embed, options, device, isGpu}: `embed(picture, shortSide)` returns
 *   an embedding; `device` says what it runs on, in words.
 */
export async function loadNetwork(gpu) {
  const [model, options] = await Promise.all([
    download('vidcolor.onnx').then((response) => response.arrayBuffer()),
    download('options.json').then((response) => response.json()),
  ]);
  const run = gpu && await hasGpu() && await tryGpu(model);
  const threads = self.crossOriginIsolated
      ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const embedWith = run || await runner('wasm', model, threads);
  const embed = (picture, shortSide) =>
    embedWith(inputOf(picture, shortSide, options.max_enlargement));
  const device = run ? 'the GPU' :
      threads > 1 ? `the CPU, ${threads} threads` : 'the CPU, one thread';
  return {embed, options, device, isGpu: Boolean(run)};
}

/** Returns a function from an input to its embedding. */
async function runner(provider, model, threads) {
  const ort = await import(`./lib/ort.${provider}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL('./lib/', import.meta.url).href;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(
    new Uint8Array(model), {executionProviders: [provider]});
  return async ({data, width, height}) => {
    const frame = new ort.Tensor('uint8', data, [height, width, 3]);
    const {embedding} = await session.run({frame});
    const [rows, columns] = embedding.dims;
    return embeddingOf(embedding.data, rows, columns);
  };
}

/** Returns the runner of the GPU; null if that fails, as some drivers do. */
async function tryGpu(model) {
  try {
    const run = await runner('webgpu', model, 1);
    const side = 8 * SIDE_MULTIPLE;
    const grey = new Uint8Array(3 * side * side).fill(128);
    const {data} = await run({data: grey, width: side, height: side});
    return data.every(Number.isFinite) ? run : null;
  } catch {
    return null;
  }
}

async function download(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing: make the site again.`);
  return response;
}

async function hasGpu() {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    // An adapter that computes on the CPU is slower than WebAssembly.
    return Boolean(adapter && !adapter.info.isFallbackAdapter);
  } catch {
    return false;
  }
}

/** Returns the RGB picture that the network sees: {data, width, height}. */
function inputOf(picture, shortSide, maxEnlargement) {
  const scale = Math.min(
    maxEnlargement, shortSide / Math.min(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((side) =>
    Math.max(1, roundHalfEven(side * scale / SIDE_MULTIPLE)) * SIDE_MULTIPLE);
  const data = new Uint8Array(3 * width * height);
  for (let c = 0; c < 3; c++) {
    const color = plane(
      picture.height, picture.width, (i) => picture.data[4 * i + c]);
    const values = resized(color, height, width, antialias).data;
    for (let i = 0; i < values.length; i++) {
      data[3 * i + c] = Math.round(values[i]);
    }
  }
  return {data, width, height};
}
