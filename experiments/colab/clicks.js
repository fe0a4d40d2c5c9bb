// A picture to mark. The units of the SVG are pixels of the video. So marks are
// right at every size of the picture. Pixel centres have whole coordinates.

const MIN_DRAG = 4;  // Pixels of the screen. A shorter drag is a click.

function create(name, parent, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  return parent.appendChild(element);
}

function render({model, el}) {
  const width = model.get('width'), height = model.get('height');
  const shown = Math.round(Math.min(800, 500 * width / height));
  const svg = create('svg', el, {
    viewBox: `-0.5 -0.5 ${width} ${height}`,
    style: `display: block; width: 100%; max-width: ${shown}px;
        cursor: crosshair; touch-action: none; user-select: none`,
  });
  const jpeg = new Blob([model.get('picture')], {type: 'image/jpeg'});
  const href = URL.createObjectURL(jpeg);
  create('image', svg, {href, x: -0.5, y: -0.5, width, height});
  const marks = create('g', svg, {});
  const undo = el.appendChild(document.createElement('button'));
  undo.textContent = 'Undo';
  el.append(' Click points, or drag a box around each object.');

  function mark(path, x, y, wide, number) {
    // Lines have the same width on every screen. Their black edge makes them
    // stand out.
    for (const [stroke, edge] of [['black', 3], ['#00e6ff', 0]]) {
      create('path', marks, {
        d: path, stroke, fill: 'none', 'stroke-width': wide + edge,
        'stroke-linecap': 'round', 'vector-effect': 'non-scaling-stroke',
      });
    }
    const size = 18 * width / (svg.clientWidth || shown);
    create('text', marks, {
      x: x + size / 2, y: y + 1.2 * size, fill: '#00e6ff', stroke: 'black',
      style: `font: ${size}px sans-serif; paint-order: stroke`,
      'stroke-width': size / 5,
    }).textContent = number;
  }

  function draw(dragged) {
    const points = model.get('points');
    const boxes = [...model.get('boxes'), ...(dragged ? [dragged] : [])];
    marks.replaceChildren();
    points.forEach(([x, y], i) => mark(`M${x} ${y}h0`, x, y, 9, i + 1));
    boxes.forEach(([x0, y0, x1, y1], i) =>
        mark(`M${x0} ${y0}H${x1}V${y1}H${x0}Z`, x0, y0, 2, i + 1));
  }

  function place(event) {
    const {x, y} = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(svg.getScreenCTM().inverse());
    const inside = (v, size) => Math.min(Math.max(v, 0), size - 1);
    return [inside(x, width), inside(y, height)].map(v => Math.round(10 * v) / 10);
  }

  function save(points, boxes) {
    model.set('points', points);
    model.set('boxes', boxes);
    model.save_changes();
    draw();
  }

  let start = null;  // The event that began a click or drag.

  function drag(event) {
    const [x0, y0] = place(start), [x1, y1] = place(event);
    return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
  }

  svg.onpointerdown = (event) => {
    event.preventDefault();
    svg.setPointerCapture(event.pointerId);
    start = event;
  };
  svg.onpointermove = (event) => start && draw(drag(event));
  svg.onpointercancel = () => { start = null; draw(); };
  svg.onpointerup = (event) => {
    if (!start) return;
    const box = drag(event), point = place(start);
    const moved = Math.hypot(
        event.clientX - start.clientX, event.clientY - start.clientY);
    start = null;
    if (moved < MIN_DRAG) {
      save([...model.get('points'), point], []);
    } else if (box[2] - box[0] >= 1 && box[3] - box[1] >= 1) {
      save([], [...model.get('boxes'), box]);
    } else {
      draw();
    }
  };
  undo.onclick = () =>
      save(model.get('points').slice(0, -1), model.get('boxes').slice(0, -1));

  const redraw = () => draw();
  for (const name of ['points', 'boxes']) model.on(`change:${name}`, redraw);
  draw();
  return () => {
    for (const name of ['points', 'boxes']) model.off(`change:${name}`, redraw);
    URL.revokeObjectURL(href);
  };
}

export default {render};
