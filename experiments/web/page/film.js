// Writes the film with the objects drawn in.

import {
  BufferTarget, CanvasSource, Mp4OutputFormat, Output, QUALITY_HIGH,
  WebMOutputFormat, getFirstEncodableVideoCodec,
} from './lib/mediabunny.js';
import {Refused} from './refused.js';
import {tint} from './colors.js';

/**
 * Returns a Blob: MP4 where the browser encodes H.264, else WebM.
 *
 * @param masks The mask of each frame.
 * @param clip The clip.
 * @param onProgress Called with the share of the frames that are done.
 */
export async function film(masks, clip, onProgress) {
  // H.264 needs even sides.
  const width = clip.width - clip.width % 2;
  const height = clip.height - clip.height % 2;
  const codec = await getFirstEncodableVideoCodec(
    ['avc', 'vp9', 'vp8'], {width, height});
  if (!codec) throw new Refused('This browser cannot write films.');
  const format = codec === 'avc'
      ? new Mp4OutputFormat() : new WebMOutputFormat();
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d');
  const output = new Output({format, target: new BufferTarget()});
  const source = new CanvasSource(canvas, {codec, bitrate: QUALITY_HIGH});
  output.addVideoTrack(source);
  await output.start();
  let index = 0;
  for await (const picture of clip.pictures()) {
    if (masks[index]) tint(picture, masks[index]);
    context.putImageData(picture, 0, 0);
    const time = clip.times[index] - clip.times[0];
    const next = clip.times[index + 1] ?? clip.times[index] + 1 / clip.rate;
    await source.add(time, next - clip.times[index]);
    onProgress(++index / clip.count);
  }
  await output.finalize();
  const type = codec === 'avc' ? 'video/mp4' : 'video/webm';
  return new Blob([output.target.buffer], {type});
}
