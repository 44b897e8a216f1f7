// The first figure of this kind on the page that is not alive yet: the one this script belongs to.
const begin = (name, draw) => {
  const root = document.querySelector(`.cvlab-interactive[data-figure="${name}"]:not([data-live])`);
  if (!root) return;
  root.dataset.live = "yes";
  const still = root.querySelector("img");
  const live = document.createElement("div");
  live.setAttribute("role", "group");
  live.setAttribute("aria-label", still.alt);
  draw(live, JSON.parse(root.querySelector("script[type='application/json']").textContent));
  // JupyterLab's shortcuts would take the arrow keys away from everything but text fields.
  for (const control of live.querySelectorAll("button, canvas, input, select"))
    control.setAttribute("data-lm-suppress-shortcuts", "true");
  still.replaceWith(live); // only when everything above worked
};

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// A labelled slider, its value beside it; `changed` is called with the number.
const slider = (text, { min, max, step, value, show = String }, changed) => {
  const input = element("input", { type: "range", min, max, step, value });
  const shown = element("output", {}, show(Number(value)));
  input.addEventListener("input", () => {
    shown.textContent = show(Number(input.value));
    changed(Number(input.value));
  });
  return element("label", {}, text, input, shown);
};

// A canvas that stays sharp on dense screens; returns it with its 2D context in CSS pixels.
const canvas = (width, height, description) => {
  const density = window.devicePixelRatio || 1;
  const made = element("canvas", { width: width * density, height: height * density });
  made.style.width = `${width}px`;
  made.setAttribute("role", "img");
  made.setAttribute("aria-label", description);
  const context = made.getContext("2d");
  context.scale(density, density);
  return [made, context];
};

// The color of text around an element: dark on light pages, light on dark ones.
const ink = (node) => getComputedStyle(node).color;
