// At each position of the window, the sum of the nine products. Rows of numbers in and out.
const convolve = (image, kernel) => {
  const map = [];
  for (let row = 0; row + 2 < image.length; row++) {
    map.push([]);
    for (let column = 0; column + 2 < image[0].length; column++) {
      let sum = 0;
      for (let u = 0; u < 3; u++)
        for (let v = 0; v < 3; v++) sum += image[row + u][column + v] * kernel[u][v];
      map[row].push(sum);
    }
  }
  return map;
};

// A number in few characters, with a true minus sign.
const short = (value) => String(Math.round(value * 100) / 100 + 0).replace("-", "−");

begin("kernel", (live, { image, kernels, chosen, at }) => {
  const scale = 270 / Math.max(image.length, image[0].length);
  const limits = [image.length - 3, image[0].length - 3]; // of the upper left corner of the window
  let kernel = kernels[chosen].map((row) => [...row]);
  let [row, column] = at;
  let map;

  const panel = (rows, columns, description) => canvas(columns * scale, rows * scale, description);
  const [photo, onPhoto] = panel(image.length, image[0].length, "");
  const [result, onResult] = panel(limits[0] + 1, limits[1] + 1, "Feature map");
  photo.tabIndex = 0;
  photo.setAttribute("role", "application");
  photo.setAttribute("aria-label", "Image. The arrow keys move the window, with Shift by ten pixels.");

  const paint = (context, rows, [low, high]) => {
    const small = element("canvas", { width: rows[0].length, height: rows.length });
    const pixels = small.getContext("2d").createImageData(small.width, small.height);
    rows.flat().forEach((value, k) => {
      const gray = high > low ? (255 * (value - low)) / (high - low) : 128;
      pixels.data.set([gray, gray, gray, 255], 4 * k);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, small.width * scale, small.height * scale);
  };
  const outline = (context, side) => {
    for (const [color, width] of [["white", 4], ["#d55e00", 2]]) {
      Object.assign(context, { strokeStyle: color, lineWidth: width });
      context.strokeRect(column * scale, row * scale, side * scale, side * scale);
    }
  };

  const sum = element("output");
  const products = element("div");
  products.style.cssText = "white-space: pre-wrap; font-variant-numeric: tabular-nums";
  const extremes = (rows) => [Math.min(...rows.flat()), Math.max(...rows.flat())];
  const scaleOf = ([low, high]) => `black ${short(low)}, white ${short(high)}`;
  const range = element("div");
  const refresh = () => {
    map = convolve(image, kernel);
    paint(onPhoto, image, extremes(image));
    paint(onResult, map, extremes(map));
    outline(onPhoto, 3);
    outline(onResult, 1);
    sum.textContent = `Sum at row ${row}, column ${column}: ${short(map[row][column])}`;
    products.textContent = kernel
      .map((weights, u) =>
        weights.map((w, v) => `${image[row + u][column + v]} · ${w < 0 ? `(${short(w)})` : short(w)}`).join(" + "))
      .join(" +\n");
    range.textContent = scaleOf(extremes(map));
  };
  const move = (newRow, newColumn) => {
    row = Math.min(Math.max(newRow, 0), limits[0]);
    column = Math.min(Math.max(newColumn, 0), limits[1]);
    refresh();
  };

  for (const [surface, columns, center] of [[photo, image[0].length, 1], [result, limits[1] + 1, 0]])
    surface.addEventListener("pointermove", (event) => {
      const box = surface.getBoundingClientRect();
      const pixel = box.width / columns; // in CSS pixels, however narrow the page
      move(Math.floor((event.clientY - box.top) / pixel) - center,
        Math.floor((event.clientX - box.left) / pixel) - center);
    });
  photo.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const way = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    move(row + way[0] * step, column + way[1] * step);
  });

  const own = "your own";
  const choice = element("select", {}, ...[...Object.keys(kernels), own].map((name) =>
    element("option", { value: name, textContent: name })));
  choice.value = chosen;
  const inputs = kernel.map((weights, u) => weights.map((weight, v) => {
    const input = element("input", { type: "number", step: "any", value: short(weight).replace("−", "-") });
    input.setAttribute("aria-label", `Weight in row ${u + 1}, column ${v + 1}`);
    input.style.width = "3.6em";
    input.addEventListener("input", () => {
      kernel[u][v] = Number(input.value) || 0;
      choice.value = own;
      refresh();
    });
    return input;
  }));
  choice.addEventListener("change", () => {
    kernel = (kernels[choice.value] ?? kernel).map((weights) => [...weights]);
    inputs.forEach((line, u) => line.forEach((input, v) => {
      input.value = short(kernel[u][v]).replace("−", "-");
    }));
    refresh();
  });

  const grid = element("div", {}, ...inputs.flat());
  grid.style.cssText = "display: grid; grid-template-columns: repeat(3, auto); gap: 3px; margin: 0.5em 0";
  const columns = element("div", { className: "controls" },
    element("div", {}, element("div", { textContent: "Image" }), photo,
      element("div", { textContent: scaleOf(extremes(image)) })),
    element("div", {}, element("label", {}, "Kernel", choice), grid),
    element("div", {}, element("div", { textContent: "Feature map" }), result, range));
  live.append(columns, sum, products);
  refresh();
});
