// What can be downloaded: masks as PNG files in a ZIP file, and a table.

import {strToU8, zipSync, zlibSync} from './lib/fflate.js';
import {davisColor} from './colors.js';

/** Returns a ZIP file of masks/<clip>/00000.png ..., as in DAVIS. */
export function masksZip(masks, clip) {
  const stem = stemOf(clip);
  const files = {};
  for (let index = 0; index < clip.count; index++) {
    const mask = masks[index] ?? new Uint8Array(clip.width * clip.height);
    const name = `${String(index).padStart(5, '0')}.png`;
    files[`masks/${stem}/${name}`] = png(mask, clip.width, clip.height);
  }
  // PNG files are compressed already.
  return new Blob([zipSync(files, {level: 0})], {type: 'application/zip'});
}

/** Returns a CSV file: the box and the area of each object in each frame. */
export function table(masks, clip) {
  const lines = ['frame,seconds,name,x0,y0,x1,y1,area'];
  const names = new Set();
  for (const mask of masks) mask?.forEach((number) => names.add(number));
  names.delete(0);
  for (let index = 0; index < clip.count; index++) {
    for (const name of [...names].sort((a, b) => a - b)) {
      const seconds = (clip.times[index] - clip.times[0]).toFixed(3);
      const box = boxOf(masks[index] ?? [], name, clip.width);
      lines.push([index, seconds, name, ...box].join(','));
    }
  }
  return new Blob([lines.join('\n') + '\n'], {type: 'text/csv'});
}

export function stemOf(clip) {
  return clip.name.replace(/\.[^.]*$/, '') || 'clip';
}

/** Returns x0, y0, x1, y1 and area; empty corners if the object is absent. */
function boxOf(mask, name, width) {
  let [x0, y0, x1, y1, area] = [Infinity, Infinity, -1, -1, 0];
  for (let i = 0; i < mask.length; i++) {
    if (mask[i] !== name) continue;
    const x = i % width, y = Math.floor(i / width);
    x0 = Math.min(x0, x);
    x1 = Math.max(x1, x + 1);
    y0 = Math.min(y0, y);
    y1 = Math.max(y1, y + 1);
    area++;
  }
  return area ? [x0, y0, x1, y1, area] : ['', '', '', '', 0];
}

/** Returns a PNG file with the palette of DAVIS. */
function png(mask, width, height) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // Bits.
  header.setUint8(9, 3); // Indices of a palette.
  const palette = Uint8Array.from(
    {length: 256}, (_, number) => number).reduce(
      (all, number) => (all.set(davisColor(number), 3 * number), all),
      new Uint8Array(768));
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    rows.set(mask.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const chunks = [
    new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', new Uint8Array(header.buffer)),
    chunk('PLTE', palette),
    chunk('IDAT', zlibSync(rows)),
    chunk('IEND', new Uint8Array(0)),
  ];
  const file = new Uint8Array(chunks.reduce((sum, c) => sum + c.length, 0));
  let at = 0;
  for (const part of chunks) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

function chunk(type, content) {
  const result = new Uint8Array(content.length + 12);
  const view = new DataView(result.buffer);
  view.setUint32(0, content.length);
  result.set(strToU8(type), 4);
  result.set(content, 8);
  view.setUint32(
    content.length + 8, crc(result.subarray(4, content.length + 8)));
  return result;
}

const CRC = Uint32Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value;
}
