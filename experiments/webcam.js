// The camera of the web page. webcam.py has its HTML, and answers `server`.
//
// The canvas lies on the video. It is clear until a box is drawn. Then it shows
// each tracked picture, so that a mask is never over a newer picture.

const SHORT_SIDE = 240;  // Pixels of the pictures that are sent.
const MIN_BOX = 4;  // Pixels of such a picture.
const RECENT = 30;  // Pictures over which rate and latency are shown.
const HINT = 'Drag a box around an object.';

const find = (name) => element.querySelector(name);
const video = find('video'), canvas = find('canvas');
const view = canvas.getContext('2d', {willReadFrequently: true});
const sent = document.createElement('canvas');
const person = `${Math.random()} ${Math.random()}`;
let isReady = false;
let newest = null;  // What the browser knows of the newest picture.
let corner = null;  // Where a drag began, and the picture that stands still.
let run = null;  // What is tracked. Answers for an earlier run are ignored.

function say(text) {
  find('.status').textContent = text;
}

async function ask(name, request) {
  const answer = await server[name]({person, ...request});
  if (!answer) throw new Error('The server does not answer: reload the page.');
  if (answer.error) throw new Error(answer.error);
  return answer;
}

function encode(source) {
  sent.getContext('2d').drawImage(source, 0, 0, sent.width, sent.height);
  return sent.toDataURL('image/jpeg', 0.85).split(',')[1];
}

async function startCamera() {
  if (!navigator.mediaDevices) {
    throw new Error('The browser gives a camera only to localhost and https.');
  }
  const wanted = {
    width: {ideal: 640}, height: {ideal: 480},
    facingMode: {ideal: 'environment'},  // A phone's rear camera.
  };
  try {
    video.srcObject =
        await navigator.mediaDevices.getUserMedia({video: wanted});
  } catch (error) {
    throw new Error(`The browser gives no camera: ${error.message}.`);
  }
  await video.play();
  const {videoWidth: width, videoHeight: height} = video;
  const scale = Math.min(1, SHORT_SIDE / Math.min(width, height));
  sent.width = canvas.width = Math.round(width * scale);
  sent.height = canvas.height = Math.round(height * scale);
  find('.view').style.aspectRatio = `${width} / ${height}`;
  video.srcObject.getTracks()[0].onended = () => stopCamera('The camera ended.');
  find('.camera').textContent = 'Stop camera';
  say('Getting ready ...');
  await ask('prepare', {picture: encode(video)});
  if (!video.srcObject) return;  // It was stopped meanwhile.
  isReady = true;
  find('.centre').disabled = false;
  say(HINT);
  video.requestVideoFrameCallback(onFrame);
}

function stopCamera(why) {
  isReady = false;
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = newest = null;
  find('.centre').disabled = true;
  find('.camera').textContent = 'Start camera';
  stop(why);
}

// Tracks what is in a box of the picture that the canvas shows.
async function track(box) {
  const begun = run = {isBusy: true, recent: [], count: 0, before: 0};
  find('.end').disabled = false;
  await take(begun, ask('begin', {picture: encode(canvas), box}));
  begun.isBusy = false;
  trackNewest();
}

// Shows an answer. Returns it, or null if another run has begun.
async function take(asking, request) {
  try {
    const answer = await request;
    const image = new Image();
    image.src = `data:image/jpeg;base64,${answer.picture}`;
    await image.decode();
    if (run !== asking) return null;
    view.drawImage(image, 0, 0, canvas.width, canvas.height);
    return answer;
  } catch (error) {
    if (run === asking) stop(error.message);
    return null;
  }
}

function onFrame(now, frame) {
  video.requestVideoFrameCallback(onFrame);
  newest = frame;
  trackNewest();
}

// Tracks the newest picture, unless it was tracked or another one is on its way.
async function trackNewest() {
  const asking = run, frame = newest;
  if (!asking || asking.isBusy || !frame) return;
  newest = null;
  asking.isBusy = true;
  const answer = await take(asking, ask('step', {picture: encode(video)}));
  asking.isBusy = false;
  if (!answer) return;
  tell(asking, frame, answer.visible);
  trackNewest();
}

// Tells the pace. `frame` is what the browser knows of the picture.
function tell(asking, frame, isVisible) {
  const time = performance.now();
  const latency = time - (frame.captureTime ?? frame.presentationTime);
  asking.before ||= frame.presentedFrames - 1;
  asking.count += 1;
  asking.recent = [...asking.recent, {time, latency}].slice(-RECENT);
  const {recent, count, before} = asking;
  const seconds = (time - recent[0].time) / 1000;
  const rate = seconds ? (recent.length - 1) / seconds : 0;
  const total = recent.reduce((sum, one) => sum + one.latency, 0);
  const all = frame.presentedFrames - before;
  say(
      `${rate.toFixed(1)} pictures a second, latency ` +
      `${Math.round(total / recent.length)} ms, ` +
      `${all - count} of ${all} dropped.` +
      (isVisible ? '' : ' Likely lost: drag a box again.'));
}

function stop(why) {
  run = corner = null;
  find('.end').disabled = true;
  view.clearRect(0, 0, canvas.width, canvas.height);
  say(why);
}

function place(event) {
  const shown = canvas.getBoundingClientRect();
  const part = (at, start, length) =>
      Math.min(1, Math.max(0, (at - start) / length));
  return [
    part(event.clientX, shown.left, shown.width) * canvas.width,
    part(event.clientY, shown.top, shown.height) * canvas.height,
  ];
}

function boxTo(event) {
  const [x, y] = place(event), [left, top] = corner.place;
  return [
    Math.min(x, left), Math.min(y, top), Math.max(x, left), Math.max(y, top),
  ];
}

// Shows the newest picture, which stands still, and returns it.
function freeze() {
  view.drawImage(video, 0, 0, canvas.width, canvas.height);
  return view.getImageData(0, 0, canvas.width, canvas.height);
}

canvas.addEventListener('pointerdown', (event) => {
  if (!isReady) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  stop(HINT);
  corner = {place: place(event), still: freeze()};
});

canvas.addEventListener('pointermove', (event) => {
  if (!corner) return;
  const [left, top, right, bottom] = boxTo(event);
  view.putImageData(corner.still, 0, 0);
  view.strokeStyle = '#00e6ff';
  view.strokeRect(left, top, right - left, bottom - top);
});

canvas.addEventListener('pointerup', (event) => {
  if (!corner) return;
  const box = boxTo(event);
  if (Math.min(box[2] - box[0], box[3] - box[1]) < MIN_BOX) {
    stop('Drag a larger box around an object.');
    return;
  }
  view.putImageData(corner.still, 0, 0);
  corner = null;
  track(box);
});

canvas.addEventListener('pointercancel', () => corner && stop(HINT));

find('.centre').addEventListener('click', () => {
  const {width, height} = canvas;
  stop(HINT);
  freeze();
  track([width / 4, height / 4, 3 * width / 4, 3 * height / 4]);
});

find('.end').addEventListener('click', () => stop(HINT));
find('.camera').addEventListener('click', () => {
  if (video.srcObject) {
    stopCamera('The camera is off.');
  } else {
    startCamera().catch((error) => stopCamera(error.message));
  }
});
