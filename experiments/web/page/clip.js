// A clip: its frames, by number, as pictures of at most MAX_SIDE rows.

import {
  ALL_FORMATS, BlobSource, EncodedPacketSink, Input, VideoSampleSink,
} from './lib/mediabunny.js';
import {Refused} from './refused.js';

// What a browser tab has memory and time for.
export const MAX_FRAMES = 600;
const MAX_SIDE = 480; // Of the short side: larger frames are shrunk.
const MAX_SHAPE = 4; // Long side, in short sides.

export class Clip {
  /** Opens a file, or a Blob with a `name`; it is read when needed. */
  static async open(file) {
    const clip = new Clip();
    clip.name = file.name ?? 'clip';
    const input = new Input(
      {formats: ALL_FORMATS, source: new BlobSource(file)});
    let track, times;
    try {
      track = await input.getPrimaryVideoTrack();
      if (track) times = await timesOf(track);
    } catch {
      throw new Refused(
        `${clip.name} is not a video that this page can read: open an MP4, ` +
        'MOV, MKV or WebM file.');
    }
    if (!track || !times.length) {
      throw new Refused(`${clip.name} holds no video: open another file.`);
    }
    if (typeof VideoDecoder === 'undefined') {
      throw new Refused(
        'This browser cannot decode single frames (it lacks WebCodecs): open ' +
        'the page in a newer Chrome, Edge, Safari or Firefox.');
    }
    if (!await track.canDecode()) {
      const codec = await track.getCodec();
      throw new Refused(
        `This browser lacks the codec of ${clip.name} (${codec ?? 'unknown'}): ` +
        'convert it to H.264 or VP9, or open the page in another browser.');
    }
    const width = await track.getDisplayWidth();
    const height = await track.getDisplayHeight();
    const short = Math.min(width, height);
    if (Math.max(width, height) > MAX_SHAPE * short) {
      throw new Refused(
        `${clip.name} is ${width} x ${height}: this page takes frames up to ` +
        `${MAX_SHAPE} times as long as wide.`);
    }
    const scale = Math.min(1, MAX_SIDE / short);
    clip.width = Math.round(width * scale);
    clip.height = Math.round(height * scale);
    clip.notes = [];
    if (scale < 1) {
      clip.notes.push(
        `Its frames of ${width} x ${height} are shrunk to ` +
        `${clip.width} x ${clip.height}.`);
    }
    if (times.length > MAX_FRAMES) {
      clip.notes.push(`Only its first ${MAX_FRAMES} frames are opened.`);
    }
    clip.times = times.slice(0, MAX_FRAMES);
    clip.count = clip.times.length;
    clip.sink = new VideoSampleSink(track);
    clip.canvas = new OffscreenCanvas(clip.width, clip.height);
    clip.context = clip.canvas.getContext('2d', {willReadFrequently: true});
    clip.context.imageSmoothingQuality = 'high';
    return clip;
  }

  /** Frames per second: the mean. */
  get rate() {
    const last = this.times.at(-1) - this.times[0];
    return last > 0 ? (this.count - 1) / last : 25;
  }

  /** Returns a frame as ImageData. */
  async picture(index) {
    const sample = await this.sink.getSample(this.times[index]);
    return this.#draw(sample, index);
  }

  /** Yields the frames from one on, as ImageData. This is the fast way. */
  async * pictures(from = 0) {
    let index = from;
    for await (const sample of this.sink.samples(this.times[from])) {
      if (index >= this.count) {
        sample.close();
        return;
      }
      yield this.#draw(sample, index++);
    }
    if (index < this.count) {
      throw new Refused(
        `Frame ${index + 1} of ${this.name} cannot be decoded: the file is ` +
        'damaged there.');
    }
  }

  #draw(sample, index) {
    if (!sample) {
      throw new Refused(
        `Frame ${index + 1} of ${this.name} cannot be decoded.`);
    }
    sample.draw(this.context, 0, 0, this.width, this.height);
    sample.close();
    return this.context.getImageData(0, 0, this.width, this.height);
  }
}

/** Returns the times of the frames in order, in seconds. */
async function timesOf(track) {
  const times = [];
  const packets = new EncodedPacketSink(track)
      .packets(undefined, undefined, {metadataOnly: true});
  for await (const packet of packets) {
    times.push(packet.timestamp);
    // Frames are stored in another order than shown, but not far from it.
    if (times.length > MAX_FRAMES + 32) break;
  }
  return times.filter((time) => time >= 0).sort((a, b) => a - b);
}
