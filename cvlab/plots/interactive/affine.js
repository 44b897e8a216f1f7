// One image under the affine map of augmentation: sliders, dragging, and the matrix in numbers.
begin("affine", (live, { size, image, start, ranges }) => {
  const now = { ...start };
  const [wide, high, shown] = [372, 300, 190]; // canvases, and the original within the left one

  // Output pixel (column, row) to the position that is read in the input. A test in Python
  // compares the lines between the two marks with `Augment`.
  const matrix = ({ rotation, width_shift, height_shift, shear, zoom, flip }) => {
    // begin matrix
    const turn = rotation * Math.PI / 180;
    const lean = shear * Math.PI / 180;
    const xx = zoom * (1 - 2 * flip) * Math.cos(turn);
    const xy = -zoom * Math.sin(turn + lean);
    const yx = zoom * (1 - 2 * flip) * Math.sin(turn);
    const yy = zoom * Math.cos(turn + lean);
    const right = width_shift * size;
    const down = height_shift * size;
    const middle = (size - 1) / 2;
    const x = middle - xx * middle - xy * middle - Math.cos(turn) * right + Math.sin(turn) * down;
    const y = middle - yx * middle - yy * middle - Math.sin(turn) * right - Math.cos(turn) * down;
    // end matrix
    return [[xx, xy, x], [yx, yy, y]];
  };
  const at = (m, column, row) => m.map(([a, b, c]) => a * column + b * row + c);

  const [left, before] = canvas(wide, high, "The original image and the frame in which it is read");
  const [result, after] = canvas(high, high, "The augmented image");
  const original = element("canvas", { width: size, height: size });
  const made = element("canvas", { width: size, height: size });
  const corner = [(wide - shown) / 2, (high - shown) / 2];
  const onLeft = (point) => point.map((v, k) => corner[k] + ((v + 0.5) * shown) / size);
  let pixels = null;

  // Bilinear interpolation; beyond the border the outermost pixels repeat (fill_mode="nearest").
  const resample = (m) => {
    const target = new ImageData(size, size);
    const inside = (index) => Math.min(Math.max(index, 0), size - 1);
    for (let place = 0; place < size * size; place += 1) {
      const [x, y] = at(m, place % size, Math.floor(place / size));
      const [x0, y0] = [Math.floor(x), Math.floor(y)];
      const [u, v] = [x - x0, y - y0];
      const index = (i, j) => 4 * (inside(y0 + j) * size + inside(x0 + i));
      const [p, q, r, s] = [index(0, 0), index(1, 0), index(0, 1), index(1, 1)];
      for (let k = 0; k < 4; k += 1) {
        const upper = pixels[p + k] * (1 - u) + pixels[q + k] * u;
        const lower = pixels[r + k] * (1 - u) + pixels[s + k] * u;
        target.data[4 * place + k] = upper * (1 - v) + lower * v;
      }
    }
    return target;
  };

  const numbers = element("pre");
  numbers.style.cssText = "font-size: 13px; white-space: pre-wrap; background: none; color: inherit";
  const line = (name, [a, b, c]) => `${name} = ${a.toFixed(3)} · column + ${b.toFixed(3)} · row + ${c.toFixed(1)}`;

  const draw = () => {
    const m = matrix(now);
    numbers.textContent = `${line("column read", m[0])}\n${line("row read   ", m[1])}`
      .replaceAll("+ -", "− ").replaceAll("-", "−");
    if (!pixels) return;
    before.clearRect(0, 0, wide, high);
    before.drawImage(original, ...corner, shown, shown);
    const ends = [[0, 0], [1, 0], [1, 1], [0, 1]].map((end) => end.map((v) => v * (size - 1)));
    const frame = ends.map((end) => onLeft(at(m, ...end)));
    const outline = new Path2D(`M${frame.map((point) => point.join(" ")).join("L")}Z`);
    for (const [color, width] of [["#ffffff", 5], ["#0072b2", 2.5]]) {
      Object.assign(before, { strokeStyle: color, lineWidth: width });
      before.stroke(outline);
    }
    made.getContext("2d").putImageData(resample(m), 0, 0);
    after.drawImage(made, 0, 0, high, high);
    // The dot is in the upper left corner of the result, and where that corner is read.
    for (const [context, [x, y]] of [[before, frame[0]], [after, [7, 7]]]) {
      Object.assign(context, { fillStyle: "#e69f00", strokeStyle: "#1c1c1e", lineWidth: 1.5 });
      const dot = new Path2D();
      dot.arc(x, y, 6, 0, 7);
      context.fill(dot);
      context.stroke(dot);
    }
  };

  const sliders = {};
  const control = (name, text, middle, limit, step, show) => {
    const properties = { min: middle - limit, max: middle + limit, step, value: now[name], show };
    sliders[name] = slider(text, properties, (value) => { now[name] = value; draw(); });
    return sliders[name];
  };
  const set = (name, value) => {
    const input = sliders[name].querySelector("input");
    input.value = value;
    input.dispatchEvent(new Event("input"));
  };
  const flip = element("input", { type: "checkbox", checked: Boolean(now.flip) });
  flip.addEventListener("input", () => { now.flip = Number(flip.checked); draw(); });
  const button = (text, choose) => {
    const pressed = element("button", { type: "button", textContent: text });
    pressed.addEventListener("click", () => {
      flip.checked = choose("flip", 0) > 0;
      flip.dispatchEvent(new Event("input"));
      for (const name of Object.keys(sliders)) set(name, choose(name, Number(name === "zoom")));
    });
    return pressed;
  };

  // The image follows the pointer: its shift is counted before shear, zoom and flip are undone.
  let last = null;
  result.style.cursor = "move";
  result.addEventListener("pointerdown", (event) => {
    last = event;
    result.setPointerCapture(event.pointerId);
  });
  result.addEventListener("pointerup", () => { last = null; });
  result.addEventListener("pointermove", (event) => {
    if (!last) return;
    const lean = (now.shear * Math.PI) / 180;
    const a = (now.zoom * (1 - 2 * now.flip) * (event.clientX - last.clientX)) / result.clientWidth;
    const b = (now.zoom * (event.clientY - last.clientY)) / result.clientWidth;
    last = event;
    set("width_shift", now.width_shift + a - Math.sin(lean) * b);
    set("height_shift", now.height_shift + Math.cos(lean) * b);
  });

  const degrees = (value) => `${value.toFixed(1)}°`;
  const percent = (value) => `${Math.round(100 * value)} %`;
  const row = (...children) => element("div", { className: "controls" }, ...children);
  const titled = (text, node) => element("div", {}, element("div", {}, text), node);
  live.append(
    row(titled("original, and the frame that is read", left), titled("result: drag it to shift it", result)),
    numbers,
    row(control("rotation", "rotation", 0, 90, 0.5, degrees),
      control("shear", "shear", 0, 60, 0.1, degrees),
      control("zoom", "zoom", 1, 0.5, 0.01, (value) => value.toFixed(2))),
    row(control("width_shift", "shift right", 0, 0.5, 0.005, percent),
      control("height_shift", "shift down", 0, 0.5, 0.005, percent),
      element("label", {}, flip, "flip")),
    row(button("random, in the lecture's ranges", (name, middle) => middle + ranges[name] * (2 * Math.random() - 1)),
      button("reset", (_, middle) => middle)),
  );

  const photo = new Image();
  photo.onload = () => {
    const context = original.getContext("2d");
    context.drawImage(photo, 0, 0);
    pixels = context.getImageData(0, 0, size, size).data;
    draw();
  };
  photo.src = image;
  draw();
});
