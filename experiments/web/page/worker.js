// The worker: decodes, tracks and writes, so that the page stays responsive.

import {boxToMask} from './box_to_mask.js';
import {answer} from './calls.js';
import {Clip} from './clip.js';
import {makeCopy} from './copying.js';
import {copyAlike, makeGpuCopy} from './copying_gpu.js';
import {masksZip, table} from './downloads.js';
import {film} from './film.js';
import {loadNetwork} from './network.js';
import {Tracker} from './tracker.js';

const SNAPSHOT_EVERY = 25; // Frames.

let copy, network, clip;
let shortSide; // At which frames are embedded.
let given; // By frame: a Map from the number of an object to its mask.
let masks; // By frame.
let snapshots; // Trackers after some frames, from which tracking can go on.
let dirty; // The first frame that must be tracked again.
let stopped;

answer({
  /** Loads everything; returns what the network runs on. */
  async load({gpu}) {
    [network, copy] = await Promise.all([loadNetwork(gpu), loadCopy()]);
    if (network.isGpu) copy = await gpuCopyLike(copy) ?? copy;
    return {device: network.device, isGpu: network.isGpu};
  },

  /** Opens a file or a Blob; returns what the page shows of it. */
  async open(file) {
    stopped = true;
    clip = await Clip.open(file);
    clear();
    const {name, width, height, count, rate, notes} = clip;
    return {name, width, height, count, rate, notes};
  },

  clear,

  /** Returns a frame as an ImageBitmap. */
  async frame(index) {
    return createImageBitmap(await clip.picture(index));
  },

  /** Returns the mask of a frame, or null. */
  mask: (index) => masks[index] ?? null,

  /** Gives an object by a box in a frame; returns the frame's mask. */
  async giveBox(index, number, box) {
    const picture = await clip.picture(index);
    const embedding = await network.embed(picture, shortSide);
    return give(index, number, boxToMask(embedding, picture, box));
  },

  /** Gives an object by its mask in a frame. */
  giveMask: (index, number, mask) => give(index, number, mask),

  /** Tracks all that was given to the end, and sends each mask. */
  track,

  stop() {
    stopped = true;
  },

  /** Sets the rows at which frames are embedded. */
  setShortSide(rows) {
    shortSide = rows;
    if (clip) restart(0);
  },

  zip: () => masksZip(masks, clip),
  table: () => table(masks, clip),
  film: () => film(masks, clip, (done) => self.postMessage({filmed: done})),
});

async function loadCopy() {
  const response = await fetch(new URL('copying.wasm', import.meta.url));
  return makeCopy(await response.arrayBuffer());
}

/** Returns the copy of the GPU; null if it fails, as on some drivers. */
async function gpuCopyLike(copy) {
  try {
    const onGpu = await makeGpuCopy();
    return await copyAlike(onGpu, copy) ? onGpu : null;
  } catch {
    return null;
  }
}

function clear() {
  stopped = true;
  given = new Map();
  masks = [];
  restart(0);
}

/** Forgets what was tracked from a frame on. */
function restart(from) {
  dirty = from;
  if (from === 0) snapshots = new Map();
  for (const index of snapshots.keys()) {
    if (index >= from) snapshots.delete(index);
  }
}

function give(index, number, isObject) {
  if (!given.has(index)) given.set(index, new Map());
  given.get(index).set(number, isObject);
  restart(Math.min(dirty, index));
  const before = masks[index] ?? new Uint8Array(isObject.length);
  masks[index] = before.map((old, i) =>
    isObject[i] ? number : old === number ? 0 : old);
  return masks[index];
}

async function track() {
  stopped = false;
  const first = Math.min(...given.keys());
  const from = Math.max(-1, ...snapshots.keys());
  const tracker = snapshots.get(from)?.fork() ??
      new Tracker(copy, network.options);
  let index = Math.max(from + 1, first);
  const [begin, start] = [index, performance.now()];
  for await (const picture of clip.pictures(index)) {
    const embedding = await network.embed(picture, shortSide);
    if (stopped) break;
    let mask = await tracker.step({embedding, picture});
    if (given.has(index)) mask = tracker.give(given.get(index));
    masks[index] = mask;
    dirty = index + 1;
    if (index % SNAPSHOT_EVERY === 0 || index === clip.count - 1) {
      snapshots.set(index, tracker.fork());
    }
    const done = index + 1 - begin;
    const perFrame = (performance.now() - start) / 1000 / done;
    const left = perFrame * (clip.count - index - 1);
    const bitmap = await createImageBitmap(picture);
    self.postMessage(
      {index, mask, bitmap, left, rate: 1 / perFrame}, [bitmap]);
    index++;
    // Lets calls in, such as that to stop.
    await new Promise((resolve) => setTimeout(resolve));
    if (stopped) break;
  }
  return {isWhole: index >= clip.count, index};
}
