// Records a clip with the camera.

import {Refused} from './refused.js';

const SECONDS = 5;
const ROWS = 480;

/**
 * Shows the camera's picture until a clip is recorded.
 *
 * @param video The element that shows it.
 * @param record The button that begins the recording.
 * @param cancel The button that ends it all.
 * @return The recorded Blob, with a name; null if it was cancelled.
 */
export async function recordClip(video, record, cancel) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(
      {video: {height: {ideal: ROWS}}});
  } catch {
    throw new Refused('The browser gives this page no camera: open a file.');
  }
  video.srcObject = stream;
  try {
    await video.play();
    const pressed = (button) => new Promise((resolve) => {
      button.onclick = () => resolve(button);
    });
    const cancelled = pressed(cancel);
    if (await Promise.race([pressed(record), cancelled]) === cancel) {
      return null;
    }
    record.disabled = true;
    const recorder = new MediaRecorder(stream);
    const parts = [];
    recorder.ondataavailable = ({data}) => parts.push(data);
    const ended = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    const time = new Promise((resolve) => setTimeout(resolve, 1000 * SECONDS));
    const first = await Promise.race([time, cancelled]);
    recorder.stop();
    await ended;
    if (first === cancel) return null;
    return new File(parts, 'camera', {type: recorder.mimeType});
  } finally {
    record.disabled = false;
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}
