// The tracker: remembers frames with their labels, and copies from them.
//
// Objects that were given in the same frames make a group, which has its own
// memory. So an object that is given anew leaves the references of the others
// as they are. This is vidcolor/tracking/object_session.py without confidence.

import {maskAlongEdges} from './edges.js';
import {moved} from './following.js';
import {antialias, plane, resized} from './planes.js';

const MAX_KEPT = 4; // Frames with given labels that stay references.

/**
 * Tracks objects frame by frame.
 *
 * A frame is {embedding, picture}: an embedding as in copying.js, and the
 * picture {data, width, height}, RGBA. A mask is a Uint8Array with the number
 * of the object at each pixel of the picture, 0 on the background.
 */
export class Tracker {
  /**
   * @param copy A function as `makeCopy` in copying.js makes it; it may be
   *   async.
   * @param options The options of the network: `recent`, `radius`, ...
   */
  constructor(copy, options) {
    this.copy = copy;
    this.options = options;
    this.groups = []; // The back one first.
    this.numFrames = 0;
  }

  /** Returns a copy, which goes on from here when this one has moved on. */
  fork() {
    const fork = new Tracker(this.copy, this.options);
    return Object.assign(fork, this, {groups: [...this.groups]});
  }

  /** Finds the objects in the next frame; returns its mask. */
  async step(frame) {
    this.frame = frame;
    this.numFrames++;
    const found = await Promise.all(
      this.groups.map((group) => this.#found(group)));
    this.groups = this.groups.map((group, i) => ({
      ...group,
      recent: [
        ...group.recent, {embedding: frame.embedding, labels: found[i]},
      ].slice(-this.options.recent),
    }));
    const {picture} = frame;
    this.mask = new Uint8Array(picture.width * picture.height);
    if (this.groups.length) {
      const {labels, numbers} = inFront(this.groups, found, frame.embedding);
      const read = maskAlongEdges(labels, frame.embedding, picture);
      for (let i = 0; i < read.length; i++) {
        this.mask[i] = read[i] && numbers[read[i] - 1];
      }
    }
    return this.mask;
  }

  /**
   * Says where objects are in the frame shown last; returns its new mask.
   *
   * @param objects A Map from the number of an object to its mask: an array
   *   that is true on the object. Later ones are in front.
   */
  give(objects) {
    const mask = this.mask.map((number) => objects.has(number) ? 0 : number);
    for (const [number, isObject] of objects) {
      for (let i = 0; i < mask.length; i++) if (isObject[i]) mask[i] = number;
    }
    this.mask = mask;
    const left = new Set(objects.keys());
    for (const group of [...this.groups]) {
      const again = group.numbers.filter((number) => left.has(number));
      if (again.length) this.#giveAgain(group, again);
      again.forEach((number) => left.delete(number));
    }
    if (left.size) {
      const numbers = [...left].sort((a, b) => a - b);
      this.groups.push({numbers, kept: [this.#given(numbers)], recent: []});
    }
    return mask;
  }

  /** Moves objects of a group to a group of their own, in front. */
  #giveAgain(group, again) {
    const chosen = again.map((number) => group.numbers.indexOf(number) + 1);
    const old = group.kept.filter(({time}) => time !== this.numFrames);
    const room = MAX_KEPT - 1;
    const stay = old.length <= room
        ? old : [old[0], ...old.slice(old.length - room + 1)];
    const kept = stay.map((reference) => ({
      ...reference,
      labels: withLabels(reference.labels, group.numbers.length + 1, chosen),
    }));
    // Others keep their label, so that nothing changes for them.
    const numbers = group.numbers.map((n) => again.includes(n) ? 0 : n);
    this.groups = this.groups
        .map((other) => other === group ? {...group, numbers} : other)
        .filter((other) => other.numbers.some(Boolean));
    this.groups.push(
      {numbers: again, kept: [...kept, this.#given(again)], recent: []});
  }

  /** Returns the frame shown last as a reference of some objects. */
  #given(numbers) {
    const {embedding, picture} = this.frame;
    const {rows, columns} = embedding;
    const count = numbers.length + 1;
    const labels = new Float32Array(rows * columns * count);
    const label = new Uint8Array(256);
    numbers.forEach((number, n) => { label[number] = n + 1; });
    for (let l = 0; l < count; l++) {
      const is = plane(
        picture.height, picture.width, (i) => Number(label[this.mask[i]] === l));
      resized(is, rows, columns, antialias).data.forEach((share, i) => {
        labels[i * count + l] = share;
      });
    }
    return {embedding, labels, time: this.numFrames};
  }

  /** Returns the labels of a group in the frame shown last. */
  #found({kept, recent}) {
    const references = [...kept, ...recent];
    if (this.options.follow_objects) {
      const newest = references.at(-1).labels;
      const along = kept.map((reference) => moved(reference, newest));
      references.push(...along.filter(Boolean));
    }
    return this.copy(this.frame.embedding, references, this.options);
  }
}

/** Returns labels with the background and the chosen ones only. */
function withLabels(labels, count, chosen) {
  const size = labels.length / count;
  const result = new Float32Array(size * (chosen.length + 1));
  for (let i = 0, to = 0; i < size; i++) {
    const shares = chosen.map((label) => labels[i * count + label]);
    result[to++] = 1 - shares.reduce((a, b) => a + b, 0);
    for (const share of shares) result[to++] = share;
  }
  return result;
}

/**
 * Returns the labels of all objects, and their numbers in order.
 *
 * What the groups in front leave of a position is for those behind them.
 */
function inFront(groups, found, {rows, columns}) {
  if (groups.length === 1 && groups[0].numbers.every(Boolean)) {
    return {labels: found[0], numbers: groups[0].numbers};
  }
  const numbers = groups.flatMap((group) => group.numbers.filter(Boolean));
  numbers.sort((a, b) => a - b);
  const count = numbers.length + 1;
  const labels = new Float32Array(rows * columns * count);
  for (let cell = 0; cell < rows * columns; cell++) {
    let left = 1;
    for (let g = groups.length - 1; g >= 0; g--) {
      const of = groups[g].numbers;
      const start = cell * (of.length + 1) + 1;
      let total = 0;
      of.forEach((number, l) => {
        if (number) total += clip(found[g][start + l]);
      });
      const taken = Math.min(total, left);
      of.forEach((number, l) => {
        if (!number) return;
        labels[cell * count + 1 + numbers.indexOf(number)] =
            clip(found[g][start + l]) * taken / Math.max(total, 1e-6);
      });
      left -= taken;
    }
    labels[cell * count] = left;
  }
  return {labels, numbers};
}

function clip(share) {
  return Math.min(1, Math.max(0, share));
}
