// The picture on the page: shows a frame with its mask, and takes boxes.

import {shownColor, tint} from './colors.js';

const LEAST_SIDE = 4; // Of a box, in pixels of the clip.
const STEP = 0.02; // By which a key moves a box, as a share of the frame.

export class Stage {
  /**
   * @param canvas The canvas.
   * @param onBox Called with each finished box, (x0, y0, x1, y1) in pixels.
   */
  constructor(canvas, onBox) {
    this.canvas = canvas;
    this.onBox = onBox;
    this.isEnabled = false;
    this.color = 1;
    this.box = null;
    canvas.addEventListener('pointerdown', (event) => this.#begin(event));
    canvas.addEventListener('pointermove', (event) => this.#stretch(event));
    canvas.addEventListener('pointerup', (event) => this.#end(event));
    canvas.addEventListener('pointercancel', () => this.#discard());
    canvas.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Sets the size of the frames. */
  resize(width, height) {
    Object.assign(this.canvas, {width, height});
    this.canvas.style.setProperty('--shape', width / height);
    this.bitmap = this.mask = this.box = null;
  }

  /** Shows a frame with its mask; null: none. */
  show(bitmap, mask) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.showMask(mask);
  }

  /** Shows another mask of the same frame. */
  showMask(mask) {
    this.mask = null;
    if (mask) {
      const {width, height} = this.canvas;
      const context = new OffscreenCanvas(width, height).getContext('2d');
      context.drawImage(this.bitmap, 0, 0);
      const picture = context.getImageData(0, 0, width, height);
      tint(picture, mask);
      context.putImageData(picture, 0, 0);
      this.mask = context.canvas;
    }
    this.#draw();
  }

  #draw() {
    const {width, height} = this.canvas;
    const context = this.canvas.getContext('2d');
    if (!this.bitmap) return;
    context.drawImage(this.mask ?? this.bitmap, 0, 0);
    if (!this.box) return;
    const [x0, y0, x1, y1] = this.box;
    context.fillStyle = 'rgb(0 0 0 / 35%)';
    context.beginPath();
    context.rect(0, 0, width, height);
    context.rect(x0, y0, x1 - x0, y1 - y0);
    context.fill('evenodd');
    context.lineWidth = Math.max(2, width / 300);
    context.strokeStyle = `rgb(${shownColor(this.color)})`;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  }

  #at({offsetX, offsetY}) {
    const {width, height, clientWidth, clientHeight} = this.canvas;
    const clip = (value, high) => Math.min(high, Math.max(0, value));
    return [
      clip(offsetX * width / clientWidth, width),
      clip(offsetY * height / clientHeight, height),
    ];
  }

  #begin(event) {
    if (!this.isEnabled || event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.start = this.#at(event);
  }

  #stretch(event) {
    if (!this.start) return;
    const [x, y] = this.#at(event), [u, v] = this.start;
    this.box = [
      Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
    this.#draw();
  }

  #end(event) {
    if (!this.start) return;
    this.#stretch(event);
    this.start = null;
    this.#accept();
  }

  #accept() {
    const box = this.box;
    this.#discard();
    if (box && Math.min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE) {
      this.onBox(box);
    }
  }

  #discard() {
    this.start = this.box = null;
    this.#draw();
  }

  #key(event) {
    if (!this.isEnabled) return;
    const {width, height} = this.canvas;
    if (event.key.toLowerCase() === 'b' && !event.ctrlKey && !event.metaKey) {
      this.box = [width * 0.4, height * 0.4, width * 0.6, height * 0.6];
    } else if (!this.box) {
      return;
    } else if (event.key === 'Enter') {
      event.preventDefault();
      return this.#accept();
    } else if (event.key === 'Escape') {
      this.box = null;
    } else {
      const [dx, dy] = {
        ArrowLeft: [-1, 0], ArrowRight: [1, 0],
        ArrowUp: [0, -1], ArrowDown: [0, 1],
      }[event.key] ?? [];
      if (dx === undefined) return;
      const right = dx * STEP * width, down = dy * STEP * height;
      const [x0, y0, x1, y1] = this.box;
      const moved = event.shiftKey
          ? [x0, y0, x1 + right, y1 + down]
          : [x0 + right, y0 + down, x1 + right, y1 + down];
      if (moved[0] >= 0 && moved[1] >= 0 && moved[2] <= width &&
          moved[3] <= height && moved[2] - x0 > LEAST_SIDE &&
          moved[3] - y0 > LEAST_SIDE) {
        this.box = moved;
      }
    }
    event.preventDefault();
    this.#draw();
  }
}
