// Keys of the page, wherever nothing is typed, and what screen readers say.
(() => {
  const TEXTS = {
    '#picture img': 'The frame, with what is marked in it',
    '#strip img': 'Confidence over time',
  };
  const BUTTONS = {u: '#undo', t: '#track'};
  const STEPS = {',': -1, '.': 1};
  const MOVES = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  };
  const STEP = 10; // Pixels of the screen that the cross moves; one with Shift.
  const TYPED = 'textarea, [contenteditable], input[type=text], '
    + 'input[type=number], input:not([type])';

  let place = null; // Of the cross, in the picture: shares of its sides.
  const cross = document.createElement('div');
  cross.textContent = '+';
  cross.style.cssText = 'position: fixed; font: 2rem/0 monospace; color: #fff;'
    + 'text-shadow: 0 0 3px #000, 0 0 3px #000; pointer-events: none;'
    + 'transform: translate(-50%, 0); z-index: 9';

  const picture = () => document.querySelector('#picture img');

  /** Returns where the cross is on the screen. */
  function onScreen() {
    const box = picture().getBoundingClientRect();
    return [box.left + place[0] * box.width, box.top + place[1] * box.height];
  }

  /** Draws the cross, or takes it away. */
  function draw() {
    if (!place || !picture()) {
      cross.remove();
      return;
    }
    document.body.append(cross);
    const [x, y] = onScreen();
    cross.style.left = `${x}px`;
    cross.style.top = `${y}px`;
  }

  function move([x, y], step) {
    const box = picture().getBoundingClientRect();
    const within = (share) => Math.min(1, Math.max(0, share));
    place = [
      within(place[0] + (x * step) / box.width),
      within(place[1] + (y * step) / box.height),
    ];
    draw();
  }

  function click() {
    const [clientX, clientY] = onScreen();
    const options = {bubbles: true, clientX, clientY};
    picture().dispatchEvent(new MouseEvent('click', options));
  }

  /** Goes to a frame before or after the shown one. */
  function go(step) {
    const range = document.querySelector('#frame input[type=range]');
    range.stepUp(step);
    range.dispatchEvent(new Event('input', {bubbles: true}));
  }

  /** Does what a key means; returns whether it means anything. */
  function act(event) {
    const {key, shiftKey} = event;
    if (key === 'c') {
      place = place ? null : [0.5, 0.5];
      draw();
    } else if (key in STEPS) {
      go(STEPS[key]);
    } else if (key in BUTTONS) {
      document.querySelector(BUTTONS[key])?.click();
    } else if (place && key in MOVES) {
      move(MOVES[key], shiftKey ? 1 : STEP);
    } else if (place && key === 'Enter') {
      click();
    } else {
      return false;
    }
    return true;
  }

  document.addEventListener('keydown', (event) => {
    const isCommand = event.ctrlKey || event.altKey || event.metaKey;
    if (isCommand || event.target.matches(TYPED) || !picture()) return;
    if (act(event)) event.preventDefault();
  });
  // Gradio makes pictures without a text, and replaces them.
  new MutationObserver(() => {
    for (const [selector, text] of Object.entries(TEXTS)) {
      document.querySelector(`${selector}[alt=""]`)?.setAttribute('alt', text);
    }
    document.querySelector('#hint:not([aria-live])')
      ?.setAttribute('aria-live', 'polite');
  }).observe(document, {childList: true, subtree: true});
  document.addEventListener('scroll', draw, {capture: true, passive: true});
  window.addEventListener('resize', draw);
})();
