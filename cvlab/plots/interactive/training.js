// Accuracy by epoch of a plain and a normalized network, for a batch size and a learning rate.
begin("training", (live, data) => {
  const WIDTH = 740, HEIGHT = 330, LEFT = 56, RIGHT = 150, TOP = 16, BOTTOM = 44;
  const KINDS = [
    { name: "plain", label: "plain", color: "#0072b2", dash: [7, 4] },
    { name: "normalized", label: "with BatchNorm", color: "#e69f00", dash: [] },
  ];
  const epochs = data.plain[0][0].length - 1;
  const last = (series) => series[series.length - 1];
  const chosen = {
    batch: Math.min(2, data.batch_sizes.length - 1),
    rate: Math.min(5, data.rates.length - 1),
  };
  const [board, pen] = canvas(WIDTH, HEIGHT, "Held-out accuracy by epoch, two curves");
  const said = element("p", {});
  said.setAttribute("aria-live", "polite");

  const across = (epoch) => LEFT + (epoch / epochs) * (WIDTH - LEFT - RIGHT);
  const up = (share) => HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP);

  const axes = () => {
    const color = ink(live);
    Object.assign(pen, { fillStyle: color, strokeStyle: color, font: "13px system-ui, sans-serif" });
    pen.setLineDash([]);
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      pen.globalAlpha = 0.2;
      pen.lineWidth = 1;
      pen.beginPath();
      pen.moveTo(across(0), up(share));
      pen.lineTo(across(epochs), up(share));
      pen.stroke();
      pen.globalAlpha = 1;
      pen.textAlign = "right";
      pen.fillText(`${100 * share} %`, LEFT - 8, up(share) + 4);
    }
    pen.textAlign = "center";
    for (let epoch = 0; epoch <= epochs; epoch += 5) {
      pen.fillText(epoch, across(epoch), HEIGHT - BOTTOM + 18);
    }
    pen.fillText("epoch", across(epochs / 2), HEIGHT - 8);
    pen.textAlign = "left";
    pen.fillText("held-out accuracy", across(0) + 6, TOP - 3);
  };

  // The labels stand at the ends of the curves, but never on top of each other.
  const heights = (ends) => {
    const [first, second] = ends.map(up);
    const apart = second - first;
    if (Math.abs(apart) >= 20) return [first, second];
    const push = (20 - Math.abs(apart)) / 2;
    return apart >= 0 ? [first - push, second + push] : [first + push, second - push];
  };

  const curve = (series, { label, color, dash }, height) => {
    Object.assign(pen, { strokeStyle: color, lineWidth: 2.5 });
    pen.setLineDash(dash);
    pen.beginPath();
    series.forEach((share, epoch) => pen.lineTo(across(epoch), up(share)));
    pen.stroke();
    pen.setLineDash(dash);
    pen.beginPath();
    pen.moveTo(across(epochs) + 6, height - 4);
    pen.lineTo(across(epochs) + 26, height - 4);
    pen.stroke();
    pen.fillStyle = ink(live);
    pen.fillText(label, across(epochs) + 32, height);
  };

  const draw = () => {
    pen.clearRect(0, 0, WIDTH, HEIGHT);
    axes();
    const series = KINDS.map(({ name }) => data[name][chosen.batch][chosen.rate]);
    const places = heights(series.map(last));
    KINDS.forEach((kind, index) => curve(series[index], kind, places[index]));
    const ends = KINDS.map(({ label }, i) => `${label} ${(100 * last(series[i])).toFixed(0)} %`);
    said.textContent =
      `Batch size ${data.batch_sizes[chosen.batch]}, learning rate ${data.rates[chosen.rate]}: ` +
      `after ${epochs} epochs ${ends.join(", ")} (mean of ${data.seeds} networks each).`;
  };

  const choice = (text, values, key) =>
    slider(
      text,
      { min: 0, max: values.length - 1, step: 1, value: chosen[key], show: (at) => values[at] },
      (at) => {
        chosen[key] = at;
        draw();
      },
    );
  const controls = element(
    "div",
    { className: "controls" },
    choice("batch size", data.batch_sizes, "batch"),
    choice("learning rate", data.rates, "rate"),
  );
  for (const [index, values] of [data.batch_sizes, data.rates].entries()) {
    const input = controls.querySelectorAll("input")[index];
    const tell = () => input.setAttribute("aria-valuetext", values[Number(input.value)]);
    input.addEventListener("input", tell);
    tell();
  }
  live.append(controls, board, said);
  draw();
  requestAnimationFrame(draw); // the color of the text is known once the figure is on the page
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
});
