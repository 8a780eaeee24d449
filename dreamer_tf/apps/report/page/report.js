"use strict";
// The page's program: curves that zoom together, colours that follow the theme, videos that play
// when they are seen. The data are those that curves.py describes.

const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const resetButton = document.getElementById("reset");
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const charts = new Set();
const lastStep = Math.max(1, ...data.xs.map((xs) => xs[xs.length - 1]));
let zoomed = null; // [first, last] env_frames, or null for the whole range

const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const steps = new Intl.NumberFormat("en");

function value(y) {
  const size = Math.abs(y);
  return size && (size < 1e-4 || size >= 1e9) ? y.toExponential(3) : exact.format(y);
}

// The labels of an axis, with as many digits as tell its ticks apart.
function labels(ticks) {
  const shown = ticks.filter((y) => y != null);
  const size = Math.max(...shown.map(Math.abs));
  const step = shown.length > 1 ? Math.abs(shown[1] - shown[0]) : size;
  const digits = size ? Math.max(1, Math.ceil(Math.log10(size / step) + 1e-9) + 1) : 1;
  const short = size >= 1e4 && digits <= 4;
  const format = new Intl.NumberFormat("en", {
    notation: short ? "compact" : size < 1e-3 ? "scientific" : "standard",
    maximumSignificantDigits: Math.min(digits, 15),
  });
  return ticks.map((y) => (y == null ? "" : y === 0 ? "0" : format.format(y)));
}

function color(run) {
  return data.runs[run][root.dataset.theme];
}

// ------------------------------------------------------------------------------- data of a chart

// Puts the points of several curves over one rising list of steps. A step stands there as often as
// the curve with most points at it needs: several episodes may end at the same one.
function join(curves) {
  const lists = curves.map((curve) => data.xs[curve.xs]);
  const next = lists.map(() => 0);
  const xs = [];
  const columns = lists.map(() => []);
  for (;;) {
    let x = Infinity;
    lists.forEach((list, i) => {
      if (next[i] < list.length) x = Math.min(x, list[next[i]]);
    });
    if (x === Infinity) return [xs, columns];
    xs.push(x);
    lists.forEach((list, i) => columns[i].push(list[next[i]] === x ? next[i]++ : null));
  }
}

// What uPlot takes: steps, a row of values per curve, then two for each spread.
function table(curves) {
  const [xs, columns] = join(curves);
  const pick = (i, read) => columns[i].map((k) => (k === null ? null : read(curves[i], k)));
  const rows = [xs, ...curves.map((_, i) => pick(i, (curve, k) => curve.ys[k]))];
  curves.forEach((curve, i) => {
    if (!curve.spread) return;
    rows.push(pick(i, (c, k) => c.ys[k] + c.spread[k]));
    rows.push(pick(i, (c, k) => c.ys[k] - c.spread[k]));
  });
  return rows;
}

// The index of the point of a row that lies nearest to an index; null without any.
function nearest(row, xs, index, x) {
  let left = index;
  let right = index;
  while (left >= 0 && row[left] == null) left--;
  while (right < row.length && row[right] == null) right++;
  if (left < 0) return right < row.length ? right : null;
  if (right >= row.length) return left;
  return x - xs[left] <= xs[right] - x ? left : right;
}

// ---------------------------------------------------------------------------------------- charts

function zoom(range) {
  zoomed = range;
  resetButton.hidden = !range;
  for (const chart of charts) chart.setScale("x", whole());
}

function whole() {
  return zoomed ? { min: zoomed[0], max: zoomed[1] } : { min: 0, max: lastStep };
}

function selected(chart) {
  const { left, width } = chart.select;
  if (width > 5) zoom([chart.posToVal(left, "x"), chart.posToVal(left + width, "x")]);
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

// The vertical range: uPlot's, but around a constant, which it would draw at the edge of 0 to 100.
function range(chart, min, max) {
  if (min == null) return [0, 1];
  if (chart.scales.y.distr === 3) return uPlot.rangeLog(min, max, 10, false);
  if (min < max) return uPlot.rangeNum(min, max, 0.1, true);
  const room = min ? Math.abs(min) / 10 : 1;
  return [min - room, max + room];
}

function options(figure, curves, rows) {
  const plot = figure.querySelector(".plot");
  const alone = { label: "", spanGaps: true };
  const series = curves.map((curve) => ({
    label: data.runs[curve.run].name,
    stroke: () => color(curve.run),
    width: figure.classList.contains("large") ? data.lineWidth : 1.5,
    dash: data.runs[curve.run].dash,
    spanGaps: true,
    points: { fill: () => css("--card") },
  }));
  const bands = [];
  curves.forEach((curve) => {
    if (!curve.spread) return;
    const upper = 1 + series.length;
    series.push({ ...alone, points: { show: false } }, { ...alone, points: { show: false } });
    bands.push({ series: [upper, upper + 1], fill: () => color(curve.run) + "2b" });
  });
  const axis = {
    stroke: () => css("--muted"),
    grid: { stroke: () => css("--grid"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
    labelFont: "11px system-ui, sans-serif",
    labelSize: 16,
    labelGap: 0,
  };
  const y = plot.dataset.y ? { label: plot.dataset.y } : {}; // else the heading says what it is
  return {
    width: plot.clientWidth,
    height: plot.clientHeight,
    legend: { show: false },
    padding: [8, 26, 0, 0], // to the right half a label: the last one stands below the end
    scales: {
      x: { time: false, min: 0, max: lastStep },
      y: { distr: figure.logarithmic ? 3 : 1, range },
    },
    axes: [
      { ...axis, size: 26, space: 60, values: (_, ticks) => labels(ticks), label: data.axis },
      { ...axis, size: 54, space: 34, values: (_, ticks) => labels(ticks), ...y },
    ],
    series: [{}, ...series],
    bands,
    focus: { alpha: 0.15 },
    cursor: {
      y: false,
      sync: { key: "steps", setSeries: false, scales: ["x", null] },
      drag: { x: true, y: false, setScale: false },
      bind: { dblclick: () => () => zoom(null) },
      dataIdx: (chart, i, index, x) => (i ? nearest(rows[i], rows[0], index, x) : index),
      points: { show: (_, i) => i <= curves.length, size: 7 },
    },
    hooks: {
      setSelect: [selected],
      setCursor: [(chart) => showTip(figure, chart, curves, rows)],
    },
  };
}

function showTip(figure, chart, curves, rows) {
  const { left, top, idxs } = chart.cursor;
  const tip = figure.tip;
  tip.hidden = figure !== pointed || left < 0;
  if (tip.hidden) return;
  const step = chart.posToVal(left, "x");
  const lines = curves.flatMap((curve, i) => {
    const index = idxs[i + 1];
    return index == null ? [] : [{ curve, x: rows[0][index], y: rows[i + 1][index] }];
  });
  lines.sort((a, b) => b.y - a.y);
  tip.replaceChildren(
    ...lines.slice(0, 12).map(({ curve, x, y }) => {
      const line = document.createElement("div");
      line.dataset.step = x;
      line.dataset.value = y;
      const dot = document.createElement("span");
      dot.style.cssText = `width:9px;height:9px;border-radius:50%;flex:none;background:${color(curve.run)}`;
      const who = document.createElement("span");
      who.className = "who";
      who.textContent = data.runs.length > 1 ? data.runs[curve.run].name : `${steps.format(x)}`;
      const number = document.createElement("b");
      number.textContent = value(y);
      line.append(dot, who, number);
      if (data.runs.length > 1) {
        const at = document.createElement("small");
        at.textContent = `at ${steps.format(x)}`;
        line.append(at);
      }
      return line;
    }),
  );
  tip.hidden = !lines.length;
  const box = chart.over.getBoundingClientRect();
  const frame = figure.getBoundingClientRect();
  const x = box.left - frame.left + left;
  const beyond = x + 14 + tip.offsetWidth > frame.width;
  const start = beyond ? x - 14 - tip.offsetWidth : x + 14;
  tip.style.left = `${Math.max(2, Math.min(start, frame.width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(2, box.top - frame.top + Math.min(top, box.height - tip.offsetHeight))}px`;
  tip.dataset.step = step;
}

let pointed = null; // the chart under the pointer; the others only follow with their crosshair

function draw(figure) {
  const { curves } = data.charts[figure.dataset.chart];
  const rows = table(curves);
  const plot = figure.querySelector(".plot");
  if (figure.chart) {
    charts.delete(figure.chart);
    figure.chart.destroy();
  }
  const chart = new uPlot(options(figure, curves, rows), rows, plot);
  chart.runs = curves.map((curve) => curve.run);
  figure.chart = chart;
  charts.add(chart);
  chart.setScale("x", whole());
  chart.over.addEventListener("pointerenter", () => (pointed = figure));
  chart.over.addEventListener("pointerleave", () => (figure.tip.hidden = true));
  selectByTouch(chart, figure);
  figure.dataset.drawn = "";
}

// A finger that moves sideways selects a stretch, as a mouse that drags does.
function selectByTouch(chart, figure) {
  let start = null;
  const over = chart.over;
  const place = (event) => {
    const box = over.getBoundingClientRect();
    return Math.max(0, Math.min(event.clientX - box.left, box.width));
  };
  over.addEventListener("pointerdown", (event) => {
    pointed = figure;
    start = event.pointerType === "mouse" ? null : place(event);
  });
  over.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const end = place(event);
    const select = { left: Math.min(start, end), width: Math.abs(end - start) };
    if (select.width > 5) {
      chart.setSelect({ ...select, top: 0, height: over.clientHeight }, false);
    }
  });
  over.addEventListener("pointerup", () => {
    if (start !== null) selected(chart);
    start = null;
  });
  over.addEventListener("pointercancel", () => {
    if (start !== null) chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    start = null;
  });
}

// Lets one run stand out in all charts, or none if it is null.
function highlight(run) {
  for (const chart of charts) {
    const i = chart.runs.indexOf(run);
    chart.setSeries(i < 0 ? null : i + 1, { focus: true });
  }
}

for (const element of document.querySelectorAll("[data-run]")) {
  element.addEventListener("pointerenter", () => highlight(Number(element.dataset.run)));
  element.addEventListener("pointerleave", () => highlight(null));
}

// Offers a logarithmic axis where all values are above zero and they span a decade.
function offerLogarithm(figure) {
  const button = figure.querySelector(".log");
  const ys = data.charts[figure.dataset.chart].curves.flatMap((curve) => curve.ys);
  const low = ys.reduce((a, b) => Math.min(a, b), Infinity);
  const high = ys.reduce((a, b) => Math.max(a, b), -Infinity);
  button.hidden = figure.classList.contains("large") || !(low > 0 && high >= 10 * low);
  button.addEventListener("click", () => {
    figure.logarithmic = !figure.logarithmic;
    button.setAttribute("aria-pressed", figure.logarithmic);
    draw(figure);
  });
}

// Gives a chart the size of its place, if it has one.
function fit(plot) {
  const { chart } = plot.closest(".chart");
  if (chart && plot.clientWidth) {
    chart.setSize({ width: plot.clientWidth, height: plot.clientHeight });
  }
}

const resized = new ResizeObserver((entries) => entries.forEach(({ target }) => fit(target)));

// Draws a chart for the first time, if it has a place on the page.
function show(figure) {
  const plot = figure.querySelector(".plot");
  if (figure.chart || !plot.clientWidth) return;
  approached.unobserve(figure);
  draw(figure);
  resized.observe(plot);
}

// A chart is drawn when it comes near the visible part of the page: a run has dozens.
const approached = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) show(target);
    }
  },
  { rootMargin: "400px" },
);

for (const figure of document.querySelectorAll(".chart")) {
  figure.tip = document.createElement("div");
  figure.tip.className = "tip";
  figure.tip.hidden = true;
  figure.append(figure.tip);
  offerLogarithm(figure);
  approached.observe(figure);
}
resetButton.addEventListener("click", () => zoom(null));

// ----------------------------------------------------------------------------------------- theme

function setTheme(theme) {
  root.dataset.theme = theme;
  for (const chart of charts) chart.redraw(false, true);
}

document.getElementById("theme").addEventListener("click", () => {
  setTheme(root.dataset.theme === "dark" ? "light" : "dark");
});
darkScheme.addEventListener("change", () => setTheme(darkScheme.matches ? "dark" : "light"));

// ----------------------------------------------------------------------------------------- print

// On paper there is everything that is unfolded, in light colours.
let shownTheme = null;
addEventListener("beforeprint", () => {
  shownTheme = root.dataset.theme;
  root.classList.add("printing");
  setTheme("light");
  document.querySelectorAll(".chart").forEach(show);
  document.querySelectorAll(".plot").forEach(fit);
});
addEventListener("afterprint", () => {
  root.classList.remove("printing");
  setTheme(shownTheme);
  document.querySelectorAll(".plot").forEach(fit);
});

// ---------------------------------------------------------------------------------------- videos

// Safari plays no video from a data: address, but one from a Blob.
function asBlob(address) {
  const bytes = Uint8Array.from(atob(address.slice(address.indexOf(",") + 1)), (c) => c.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      // A browser that refuses, to save power say, leaves the video to its play button.
      target.play().catch(() => {});
    }
  },
  { threshold: 0.5 },
);

for (const video of document.querySelectorAll("video")) {
  video.src = asBlob(video.src);
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) seen.observe(video);
}

// -------------------------------------------------------------------------------------- settings

document.getElementById("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const row of document.querySelectorAll("#all-settings tbody tr")) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
});
