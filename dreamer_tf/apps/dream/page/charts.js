// Curves over the steps of a dream, and the numbers of observed vectors.

const root = document.documentElement;
const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const MOST_ELEMENTS = 24; // of a vector that are shown one by one

export function said(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return size && (size < 1e-3 || size >= 1e7) ? value.toExponential(2) : exact.format(value);
}

const drawn = new Set();

export function redraw() {
  for (const chart of drawn) chart.redraw(false, true);
}

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.chart && target.clientWidth) {
      target.chart.setSize({ width: target.clientWidth, height: target.clientHeight });
    }
  }
});

// The range of an axis; one that shows a single value is kept narrow.
function range(_, low, high) {
  if (low === null || low === high) return [(low ?? 0) - 0.5, (low ?? 0) + 0.5];
  return uPlot.rangeNum(low, high, 0.1, true);
}

// A uPlot in a .plot element, which it follows in size; `more` overrides its options.
export function plot(element, series, more = {}) {
  const axis = {
    stroke: () => css("--muted"),
    grid: { stroke: () => css("--grid"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  const label = (tick) => (Math.abs(tick) >= 1e4 ? compact.format(tick) : said(tick));
  const values = (_, ticks) => ticks.map(label);
  const chart = new uPlot(
    {
      width: element.clientWidth || 300,
      height: element.clientHeight || 160,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { x: { time: false }, y: { range } },
      axes: [
        { ...axis, size: 26, space: 50, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000] },
        { ...axis, size: 50, space: 32, values },
      ],
      series: [{}, ...series],
      ...more,
    },
    [[0], ...series.map(() => [null])],
    element,
  );
  element.chart = chart;
  drawn.add(chart);
  resized.observe(element);
  return chart;
}

const TRUTH = { stroke: () => css("--text"), width: 1.75, points: { show: false } };
const DREAM = { stroke: () => css("--dream"), width: 2.25, points: { show: false } };
const TO_GO = { stroke: () => css("--muted"), width: 1.5, dash: [5, 4], points: { show: false } };

function swatch(name, kind) {
  const element = document.createElement("span");
  element.className = `key ${kind}`;
  const number = document.createElement("b");
  element.append(`${name} `, number);
  return { element, number };
}

// A chart with a curve for each reader of a step.
class Curves {
  // `y` is the range of the axis, where it is known.
  constructor(parent, heading, lines, y = { range }) {
    this.lines = lines;
    const figure = document.createElement("figure");
    figure.className = "chart";
    figure.dataset.chart = heading;
    const caption = document.createElement("figcaption");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = heading;
    this.swatches = lines.map((line) => swatch(line.name, line.kind));
    caption.append(name, ...this.swatches.map((item) => item.element));
    this.element = document.createElement("div");
    this.element.className = "plot";
    figure.append(caption, this.element);
    parent.append(figure);
    const hooks = { setCursor: [(chart) => this.tell(chart.cursor.idx)] };
    const x = { time: false, range: (_, low, high) => [0, Math.max(10, high ?? 0)] };
    this.chart = plot(this.element, lines.map((line) => line.look), { hooks, scales: { x, y } });
  }

  show(steps) {
    this.steps = steps;
    const columns = this.lines.map((line) => steps.map((step) => line.read(step) ?? null));
    this.chart.setData([steps.map((step) => step.step), ...columns]);
    this.tell(null);
  }

  // The numbers under the pointer, else the newest.
  tell(index) {
    const step = this.steps?.[index ?? this.steps.length - 1];
    this.swatches.forEach(({ number }, i) => {
      number.textContent = step ? said(this.lines[i].read(step)) : "";
    });
  }
}

export function makeCurves(parent, about) {
  const pair = (name) => [
    { name: "truth", kind: "truth", look: TRUTH, read: (step) => step.true?.[name] },
    { name: "dream", kind: "dreamed", look: DREAM, read: (step) => step.imagined[name] },
  ];
  const charts = [new Curves(parent, "Reward", pair("reward"))];
  if (about.discount !== null) {
    const read = (step) => step.true?.to_go;
    const toGo = { name: "what came", kind: "to-go", look: TO_GO, read };
    charts.push(new Curves(parent, "Value", [...pair("value"), toGo]));
  }
  if (about.has_cont) charts.push(new Curves(parent, "Goes on", pair("cont"), { range: [0, 1.02] }));
  return charts;
}

// -------------------------------------------------------------------------------------- vectors

function path(values, low, high, count, width, height) {
  const across = width / Math.max(1, count - 1);
  const scale = high > low ? (height - 4) / (high - low) : 0;
  let text = "";
  values.forEach((value, i) => {
    if (value === null) return;
    const y = scale ? height - 2 - (value - low) * scale : height / 2;
    text += `${text ? "L" : "M"}${(i * across).toFixed(1)} ${y.toFixed(1)}`;
  });
  return text;
}

function curve(kind) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "path");
  element.setAttribute("class", kind);
  return element;
}

// A vector of few elements: a small curve and two numbers for each.
class Elements {
  constructor(parent, key, size) {
    this.key = key;
    this.rows = Array.from({ length: size }, (_, i) => {
      const row = document.createElement("div");
      row.className = "element";
      const name = document.createElement("span");
      name.textContent = `[${i}]`;
      name.title = `${key}[${i}]`;
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 160 32");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("aria-hidden", "true");
      const curves = [curve("truth"), curve("dreamed")];
      svg.append(...curves);
      const numbers = ["truth", "dreamed"].map((kind) => {
        const number = document.createElement("b");
        number.className = kind;
        return number;
      });
      row.append(name, svg, ...numbers);
      parent.append(row);
      return { curves, numbers };
    });
  }

  show(steps) {
    const columns = ["true", "imagined"].map((side) =>
      steps.map((step) => step[side]?.observations[this.key] ?? null),
    );
    this.rows.forEach(({ curves, numbers }, i) => {
      const values = columns.map((column) => column.map((vector) => vector && vector[i]));
      const known = values.flat().filter((value) => value !== null);
      const low = Math.min(...known);
      const high = Math.max(...known);
      values.forEach((line, side) => {
        curves[side].setAttribute("d", path(line, low, high, steps.length, 160, 32));
        numbers[side].textContent = said(line[line.length - 1]);
      });
    });
  }
}

// A vector of many elements: all of them at the present step.
class Profile {
  constructor(parent, key, size) {
    this.key = key;
    this.blank = Array(size).fill(null);
    const element = document.createElement("div");
    element.className = "plot";
    parent.append(element);
    this.chart = plot(element, [TRUTH, DREAM]);
  }

  show(steps) {
    const step = steps[steps.length - 1];
    const sides = [step.true, step.imagined].map((side) => side?.observations[this.key]);
    this.chart.setData([[...this.blank.keys()], ...sides.map((side) => side || this.blank)]);
  }
}

export function makeVectors(parent, about) {
  return Object.entries(about.observations)
    .filter(([, space]) => !space.is_image)
    .map(([key, space]) => {
      const card = document.createElement("div");
      card.className = "vector";
      card.dataset.key = key;
      const heading = document.createElement("h3");
      heading.textContent = key;
      const keys = [swatch("truth", "truth").element, swatch("dream", "dreamed").element];
      const note = about.decoded.includes(key) ? "" : " · not predicted by the model";
      heading.append(...keys, note);
      card.append(heading);
      parent.append(card);
      const size = space.shape.reduce((a, b) => a * b, 1);
      return size > MOST_ELEMENTS ? new Profile(card, key, size) : new Elements(card, key, size);
    });
}
