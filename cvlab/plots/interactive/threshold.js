begin("threshold", (live, { logits, labels, classes, bins, colors }) => {
  const [width, height, margin] = [720, 300, { left: 48, right: 12, top: 8, bottom: 40 }];
  const [board, pen] = canvas(width, height, "Histogram of the probabilities by class");
  const state = { threshold: 0.5, power: 0 };
  const middle = (margin.top + height - margin.bottom) / 2;
  const half = middle - margin.top;
  const across = (p) => margin.left + p * (width - margin.left - margin.right);
  const up = (count, highest) => (half * Math.log10(1 + count)) / Math.log10(1 + highest);

  // Everything the page shows, from the two settings.
  const measured = () => {
    const temperature = 2 ** state.power;
    const found = { confusion: [[0, 0], [0, 0]], counts: [[], []], loss: 0, temperature };
    for (const one of found.counts) one.push(...Array(bins).fill(0));
    logits.forEach((logit, place) => {
      const probability = 1 / (1 + Math.exp(-logit / temperature));
      const label = labels[place];
      found.confusion[label][probability > state.threshold ? 1 : 0] += 1;
      found.counts[label][Math.min(bins - 1, Math.floor(probability * bins))] += 1;
      // log(1 + exp(x)) without overflow: the cross-entropy of the true class.
      const wrongness = ((label ? -1 : 1) * logit) / temperature;
      found.loss += Math.max(wrongness, 0) + Math.log1p(Math.exp(-Math.abs(wrongness)));
    });
    found.loss /= logits.length;
    return found;
  };

  const text = (words, x, y, align = "center") => {
    pen.textAlign = align;
    pen.fillText(words, x, y);
  };

  const bars = (counts, label, highest) => {
    pen.fillStyle = pen.strokeStyle = colors[label];
    counts.forEach((count, bin) => {
      if (!count) return;
      const [x, next, tall] = [across(bin / bins), across((bin + 1) / bins), up(count, highest)];
      const y = label ? middle - tall : middle;
      // Filled where the prediction is right, outlined where it is wrong.
      const says = (bin + 0.5) / bins > state.threshold ? 1 : 0;
      if (says === label) pen.fillRect(x + 1, y, next - x - 2, tall);
      else pen.strokeRect(x + 2, y, next - x - 4, tall);
    });
  };

  const draw = (found) => {
    const highest = Math.max(...found.counts.flat(), 100);
    pen.clearRect(0, 0, width, height);
    pen.lineWidth = 2;
    pen.font = "13px system-ui, sans-serif";
    pen.textBaseline = "middle";
    found.counts.forEach((counts, label) => bars(counts, label, highest));
    pen.fillStyle = pen.strokeStyle = ink(live);
    pen.lineWidth = 1;
    pen.fillRect(margin.left, middle - 0.5, width - margin.left - margin.right, 1);
    for (const count of [1, 10, 100]) {
      for (const sign of [-1, 1]) text(count, margin.left - 6, middle + sign * up(count, highest), "right");
    }
    for (const p of [0, 0.25, 0.5, 0.75, 1]) text(p, across(p), height - margin.bottom + 12);
    text(`predicted probability of ${classes[1]}`, width / 2, height - 9);
    text(`${classes[1]}s, images per bin (log scale); outlined: wrong`, across(0.22), margin.top + 8);
    text(`${classes[0]}s`, across(0.22), height - margin.bottom - 8);
    pen.setLineDash([6, 4]);
    pen.lineWidth = 2;
    pen.strokeRect(across(state.threshold), margin.top, 0, 2 * half);
    pen.setLineDash([]);
  };

  const cells = [0, 1].map(() => [element("td"), element("td")]);
  const table = element(
    "table", {},
    element("caption", {}, "Confusion matrix"),
    element("tr", {}, element("td"), ...classes.map((name) => element("th", { scope: "col" }, `predicted ${name}`))),
    ...classes.map((name, label) => element("tr", {}, element("th", { scope: "row" }, name), ...cells[label])),
  );
  const summary = element("p");
  summary.setAttribute("role", "status");
  const share = (part, whole) => (whole ? `${((100 * part) / whole).toFixed(1)} %` : "–");

  const show = () => {
    const found = measured();
    const [[rejected, falseAlarm], [missed, hit]] = found.confusion;
    found.confusion.forEach((row, label) => row.forEach((count, says) => {
      cells[label][says].textContent = count;
    }));
    const parts = [
      `accuracy ${share(rejected + hit, logits.length)}`,
      `precision (${classes[1]}) ${share(hit, hit + falseAlarm)}`,
      `recall (${classes[1]}) ${share(hit, hit + missed)}`,
      `mean loss ${found.loss.toFixed(3)}`,
    ];
    summary.textContent = parts.join(" · ");
    draw(found);
  };

  const set = (name) => (value) => {
    state[name] = value;
    show();
  };
  const controls = element(
    "div", { className: "controls" },
    slider("threshold", { min: 0.02, max: 0.98, step: 0.02, value: 0.5, show: (v) => v.toFixed(2) }, set("threshold")),
    slider("temperature", { min: -2, max: 3, step: 0.1, value: 0, show: (v) => (2 ** v).toFixed(2) }, set("power")),
  );
  live.append(controls, summary, board, table);
  requestAnimationFrame(show); // the color of the text is known once it is on the page
});
