// Where a dream begins: an episode, a row of it, and the seed of the draws.

import { get } from "/api.js";
import { plot } from "/charts.js";
import { paintText } from "/frames.js";

const MOST_LISTED = 500;
const BIGGEST_SEED = 2 ** 31 - 1;
const find = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Moment {
  // `begin()` is called to dream from here, `failed(error)` with refusals.
  constructor(about, begin, failed) {
    this.about = about;
    this.failed = failed;
    this.image = Object.entries(about.observations).find(([, space]) => space.is_image);
    this.strip = this.makeStrip();
    find("episode").addEventListener("change", () => this.attempt(this.open(this.episode)));
    find("row").addEventListener("input", () => this.moved());
    find("begin").addEventListener("click", begin);
    find("reseed").addEventListener("click", () => {
      find("seed").value = Math.floor(Math.random() * BIGGEST_SEED);
      begin();
    });
    find("seed").addEventListener("change", begin);
  }

  get episode() {
    return Number(find("episode").value);
  }

  get row() {
    return Number(find("row").value);
  }

  // As it stands there: the server says what is wrong with it.
  get seed() {
    const text = find("seed").value;
    return text === "" ? null : Number(text);
  }

  attempt(promise) {
    promise.catch(this.failed);
  }

  // The rewards of the episode; a click chooses a row.
  makeStrip() {
    const look = { stroke: () => css("--text"), width: 1.25, points: { show: false } };
    const mark = (chart) => {
      const x = chart.valToPos(this.row, "x", true);
      const { ctx, bbox } = chart;
      ctx.fillStyle = css("--dream");
      ctx.fillRect(x - 1, bbox.top, 2, bbox.height);
    };
    const element = find("rewards");
    const chart = plot(element, [look], { hooks: { draw: [mark] } });
    chart.over.addEventListener("click", () => {
      find("row").value = Math.round(chart.posToVal(chart.cursor.left, "x"));
      this.moved();
    });
    return chart;
  }

  async list(wanted) {
    const all = (await get("/api/episodes")).reverse();
    const chosen = all.filter(([serial], i) => i < MOST_LISTED || serial === wanted);
    find("episode").replaceChildren(
      ...chosen.map(([serial, rows]) => new Option(`${serial} · ${rows - 1} steps`, serial)),
    );
  }

  async open(serial, row = null) {
    const told = await get(`/api/episodes/${serial}`);
    find("episode").value = serial;
    find("row").max = told.rows - 1;
    find("row").value = row ?? Math.min(20, Math.floor(told.rows / 4));
    const end = told.is_terminal ? "it terminated" : "it was cut off";
    const learned = told.is_transformed ? " The curve shows rewards as the model learns them." : "";
    const sum = new Intl.NumberFormat("en", { maximumFractionDigits: 2 }).format(told.return);
    find("episode-said").textContent = `Its rewards; return ${sum}, ${end}.${learned}`;
    this.strip.setData([told.rewards.map((_, i) => i), told.rewards]);
    await this.moved();
  }

  async moved() {
    find("row-shown").textContent = `${this.row} of ${find("row").max}`;
    this.strip.redraw(false, false);
    if (!this.image) return;
    const { episode, row } = this;
    try {
      const told = await get(`/api/episodes/${episode}/rows/${row}`);
      if (row !== this.row) return; // It has moved on meanwhile.
      const [key, space] = this.image;
      paintText(find("preview"), told.observations[key], space.shape);
      find("preview").hidden = false;
    } catch (error) {
      this.failed(error);
    }
  }
}
