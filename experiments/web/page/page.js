// The page: what a person does, and what is shown.

import {callsTo} from './calls.js';
import {recordClip} from './camera.js';
import {shownColor} from './colors.js';
import {Stage} from './stage.js';

const element = (id) => document.getElementById(id);
const MAX_OBJECTS = 20;

const worker = callsTo(
  new Worker(new URL('worker.js', import.meta.url), {type: 'module'}),
  onEvent);
const stage = new Stage(element('picture'), onBox);

let clip = null; // What the worker tells of it.
let index = 0; // The frame that is shown.
let numbers = []; // The objects.
let isTracking = false, isTracked = false, isPlaying = false;
let isWholeTracked = false; // Whether it went to the end.
let isFollowing = false; // Whether the frame that is tracked is shown.
let masks = []; // By frame, as far as they are known.
let loading; // Resolved once the network is loaded.

start();

function start() {
  navigator.serviceWorker?.register('service_worker.js').catch(() => {});
  const gpu = !new URLSearchParams(location.search).has('cpu');
  loading = worker.load({gpu}).then(({device, isGpu}) => {
    element('device').textContent = `The network runs on ${device}.`;
    element('rows').value = isGpu ? '360' : '240';
    return worker.setShortSide(Number(element('rows').value));
  });
  loading.catch((error) => fail(
    `The network cannot be loaded (${error.message}): reload the page, in a ` +
    'newer browser if that does not help.'));
  const on = (id, does) => element(id).addEventListener('click', does);
  on('sample', () => tryTo(openSample));
  on('camera', () => tryTo(useCamera));
  on('track', () => tryTo(track));
  on('stop', () => worker.stop());
  on('clear', () => tryTo(clear));
  on('again', () => tryTo(close));
  on('play', play);
  on('save-masks', () => save('zip', 'masks.zip'));
  on('save-table', () => save('table', 'tracks.csv'));
  on('save-film', () => save('film', 'overlay'));
  element('scrub').addEventListener('input', () => {
    isPlaying = isFollowing = false;
    tryTo(() => show(Number(element('scrub').value)));
  });
  element('file').addEventListener('change', ({target}) => {
    const [file] = target.files;
    target.value = '';
    if (file) tryTo(() => open(file));
  });
  element('rows').addEventListener('change', ({target}) => tryTo(async () => {
    await worker.setShortSide(Number(target.value));
    isTracked = false;
    update();
  }));
  const over = (is) => document.body.classList.toggle('over', is);
  addEventListener('dragover', (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener('dragleave', () => over(false));
  addEventListener('drop', (event) => {
    event.preventDefault();
    over(false);
    const [file] = event.dataTransfer.files;
    if (file) tryTo(() => open(file));
  });
}

/** Does something; tells of errors in one sentence. */
async function tryTo(does) {
  element('problem').textContent = '';
  try {
    await does();
  } catch (error) {
    fail(error.message);
  }
}

function fail(message) {
  say('');
  element('problem').textContent = message;
}

function say(message) {
  element('status').textContent = message;
}

async function openSample() {
  const response = await fetch('sample.mp4');
  if (!response.ok) throw new Error('The sample is missing: open a file.');
  await open(new File([await response.blob()], 'sample.mp4'));
}

async function useCamera() {
  element('start').hidden = true;
  element('recorder').hidden = false;
  try {
    const file = await recordClip(
      element('preview'), element('record'), element('cancel'));
    if (file) await open(file);
  } finally {
    element('recorder').hidden = true;
    element('start').hidden = Boolean(clip);
  }
}

async function open(file) {
  say(`Opening ${file.name} ...`);
  const opened = await worker.open(file);
  clip = opened;
  forget();
  element('scrub').max = clip.count - 1;
  stage.resize(clip.width, clip.height);
  element('start').hidden = true;
  element('work').hidden = false;
  await show(0);
  element('picture').focus({preventScroll: true});
  say(`${clip.name}: ${clip.count} frames. ${clip.notes.join(' ')}`);
}

async function close() {
  await worker.clear();
  clip = null;
  element('work').hidden = true;
  element('start').hidden = false;
  say('');
  element('sample').focus();
}

async function clear() {
  await worker.clear();
  forget();
  await show(index);
  say('All objects are removed.');
}

function forget() {
  numbers = [];
  masks = [];
  isTracked = isPlaying = false;
  choose(1);
}

/** Shows a frame. Of many that are asked for at once, the last is shown. */
async function show(wanted) {
  goTo(wanted);
  const bitmap = await worker.frame(wanted);
  if (index !== wanted || !clip) bitmap.close();
  else stage.show(bitmap, masks[index]);
}

function goTo(wanted) {
  index = wanted;
  element('scrub').value = index;
  element('number').value = `${index + 1} / ${clip.count}`;
  element('scrub').ariaValueText = `frame ${index + 1} of ${clip.count}`;
}

async function play() {
  isPlaying = !isPlaying;
  if (isPlaying && index === clip.count - 1) index = -1;
  update();
  let next = performance.now();
  while (isPlaying && clip && index < clip.count - 1) {
    await show(index + 1);
    next = Math.max(next + 1000 / clip.rate, performance.now());
    await new Promise((done) => setTimeout(done, next - performance.now()));
  }
  isPlaying = false;
  update();
}

function onBox(box) {
  tryTo(async () => {
    const at = index, number = chosen();
    say('Looking for the outline ...');
    await loading;
    const mask = await worker.giveBox(at, number, box);
    masks[at] = mask;
    masks.length = at + 1; // What comes after must be tracked again.
    if (!numbers.includes(number)) numbers.push(number);
    isTracked = false;
    choose(numbers.length < MAX_OBJECTS ? numbers.length + 1 : number);
    if (index === at) stage.showMask(mask);
    say(`Object ${number} is marked in frame ${at + 1}.`);
  });
}

async function track() {
  isTracking = isFollowing = true;
  isPlaying = false;
  update();
  say('Tracking ...');
  try {
    await loading;
    const {isWhole, index: end} = await worker.track();
    isTracked = true;
    isWholeTracked = isWhole;
    say(isWhole
      ? 'Tracked to the end. To correct an object, go to a frame, choose the ' +
        'object, and draw a new box.'
      : `Stopped before frame ${end + 1}: press Track to go on.`);
  } finally {
    isTracking = false;
    update();
  }
}

/** Takes what the worker sends as it goes. */
function onEvent(event) {
  if ('filmed' in event) {
    say(`Writing the film: ${Math.round(100 * event.filmed)}% ...`);
    return;
  }
  masks[event.index] = event.mask;
  element('bar').value = (event.index + 1) / clip.count;
  element('left').textContent =
      `Frame ${event.index + 1} of ${clip.count}, ` +
      `${inWords(event.left)} left, ` +
      `${event.rate.toFixed(1)} frames a second`;
  if (!isTracking || !isFollowing) return event.bitmap.close();
  goTo(event.index);
  stage.show(event.bitmap, event.mask);
}

function inWords(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return `${Math.round(seconds / 60)} min`;
}

async function save(what, name) {
  await tryTo(async () => {
    say('Writing ...');
    const blob = await worker[what]();
    if (what === 'film') name = `overlay.${blob.type.split('/')[1]}`;
    const link = document.createElement('a');
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    say(`${name} is saved.`);
  });
}

function chosen() {
  const {value} = document.querySelector('#objects input:checked');
  return Number(value);
}

/** Chooses which object the next box is for, and lists the objects. */
function choose(number) {
  const list = numbers.map((n) => [n, `Object ${n}`]);
  if (numbers.length < MAX_OBJECTS) {
    list.push([numbers.length + 1, numbers.length ? 'New object' : 'Object 1']);
  }
  element('objects').replaceChildren(...list.map(([n, name]) => {
    const label = document.createElement('label');
    const input = document.createElement('input');
    Object.assign(
      input, {type: 'radio', name: 'object', value: n, checked: n === number});
    input.addEventListener('change', () => { stage.color = n; });
    const dot = document.createElement('i');
    dot.style.background = `rgb(${shownColor(n)})`;
    label.append(input, dot, name);
    return label;
  }));
  stage.color = number;
  update();
}

/** Shows what can be done now. */
function update() {
  stage.isEnabled = !isTracking;
  element('track').hidden = isTracking;
  element('stop').hidden = element('doing').hidden = !isTracking;
  element('track').disabled = !numbers.length;
  element('clear').disabled = isTracking || !numbers.length;
  element('rows').disabled = isTracking;
  element('downloads').hidden = isTracking || !isTracked;
  element('play').textContent = isPlaying ? '❚❚' : '▶';
  element('play').ariaLabel = isPlaying ? 'Pause' : 'Play';
  element('play').disabled = isTracking;
  element('hint').textContent = isTracking ? 'Tracking ...' :
    !numbers.length ? 'Draw a box around an object.' :
    isTracked && isWholeTracked ? 'Correct it in any frame, or download it.' :
    isTracked ? 'Press Track to go on, or correct it in any frame.' :
    'Press Track, or draw more boxes.';
}
