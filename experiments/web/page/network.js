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
 * @return {embed, options, device}: `embed(picture, shortSide)` returns an
 *   embedding; `device` says what it runs on, in words.
 */
export async function loadNetwork(gpu) {
  const isGpu = gpu && await hasGpu();
  const name = isGpu ? 'webgpu' : 'wasm';
  const ort = await import(`./lib/ort.${name}.min.mjs`);
  ort.env.wasm.wasmPaths = new URL('./lib/', import.meta.url).href;
  const threads = self.crossOriginIsolated
      ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  const [model, options] = await Promise.all([
    download('vidcolor.onnx').then((response) => response.arrayBuffer()),
    download('options.json').then((response) => response.json()),
  ]);
  const session = await ort.InferenceSession.create(
    new Uint8Array(model), {executionProviders: [name]});
  const embed = async (picture, shortSide) => {
    const frame = inputOf(picture, shortSide, options.max_enlargement);
    const size = [frame.height, frame.width, 3];
    const {embedding} = await session.run(
      {frame: new ort.Tensor('uint8', frame.data, size)});
    const [rows, columns] = embedding.dims;
    return embeddingOf(embedding.data, rows, columns);
  };
  const device = isGpu ? 'the GPU' :
      threads > 1 ? `the CPU, ${threads} threads` : 'the CPU, one thread';
  return {embed, options, device, isGpu};
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
    return Boolean(adapter && !adapter.info?.isFallbackAdapter);
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
