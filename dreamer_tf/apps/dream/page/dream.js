// The page's program: asks the server for steps, and shows them.

import { Actions } from "/actions.js";
import { get, post, Refusal } from "/api.js";
import { makeCurves, makeVectors, redraw, said } from "/charts.js";
import { Frames } from "/frames.js";
import { Moment } from "/moment.js";

const find = (id) => document.getElementById(id);
const root = document.documentElement;
const counts = new Intl.NumberFormat("en");

let about; // what is dreamed with
let id; // of the dream, for the server
let steps = []; // of the dream, up to the one that is shown
let who = "you";
let playing = false;
let playback = 0; // how often playing was begun or ended
let busy = false; // whether an answer is awaited
let asked = Promise.resolve(); // the last question
let views = []; // each with show(steps)
let actions;
let moment;

// -------------------------------------------------------------------------------------- messages

function failed(error) {
  playing = false;
  find("error-text").textContent = error.message;
  find("error").hidden = false;
  showPlaying();
  if (!(error instanceof Refusal)) throw error;
}

function notice(text, kind = "") {
  const element = document.createElement("div");
  element.className = `notice ${kind}`;
  element.textContent = text;
  find("notices").append(element);
}

// Runs a question to the server, one at a time; refusals are shown. Whether it was answered.
function ask(question) {
  if (busy) return Promise.resolve(false);
  const answered = answer(question);
  asked = answered.catch(() => false); // what it throws is for who asked, not for who waits
  return answered;
}

async function answer(question) {
  busy = true;
  root.dataset.busy = "";
  try {
    await question();
    return true;
  } catch (error) {
    failed(error);
    return false;
  } finally {
    busy = false;
    delete root.dataset.busy;
    showPlaying();
  }
}

// ----------------------------------------------------------------------------------------- steps

async function begin() {
  const { episode, row, seed } = moment;
  const told = await post("/api/dreams", { episode, row, seed });
  find("error").hidden = true;
  id = told.id;
  steps = [told.step];
  history.replaceState(null, "", `#episode=${episode}&row=${row}&seed=${seed}`);
  show();
}

// What is chosen while an answer is awaited is done behind it.
async function beginAnew() {
  playing = false;
  await asked;
  return ask(begin);
}

async function advance() {
  const at = steps.length - 1;
  const body = who === "you" ? { at, by: who, action: actions.read() } : { at, by: who };
  try {
    steps.push(await post(`/api/dreams/${id}/steps`, body));
  } catch (error) {
    if (error.status === 410) await begin(); // The server remembers only some dreams.
    throw error;
  }
  find("error").hidden = true;
  show();
}

const step = () => ask(advance);

async function back() {
  playing = false;
  await asked;
  if (steps.length < 2) return;
  steps.pop();
  show();
}

async function restart() {
  playing = false;
  await asked;
  if (!steps.length) return;
  steps = steps.slice(0, 1);
  show();
}

// A step of the recording may be taken as long as it goes on.
const canStep = () => who !== "recorded" || steps[steps.length - 1]?.next_recorded !== null;

async function play() {
  playing = !playing;
  const mine = ++playback;
  showPlaying();
  await asked;
  while (playing && mine === playback) {
    const started = performance.now();
    if (!canStep() || !(await step())) playing = false;
    showPlaying();
    const rest = 1000 / Number(find("speed").value) - (performance.now() - started);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, rest)));
  }
}

// ----------------------------------------------------------------------------------------- views

function showPlaying() {
  find("play").setAttribute("aria-pressed", playing);
  find("play-text").textContent = playing ? "Pause" : "Play";
  find("step").disabled = playing || !canStep();
  find("back").disabled = steps.length < 2;
  find("restart").disabled = steps.length < 2;
}

function show() {
  const last = steps[steps.length - 1];
  root.dataset.follows = last.follows;
  find("count").textContent = last.step;
  for (const view of views) view.show(steps);
  if (last.action && who !== "you") actions.show(last.action);
  actions.showRecorded(last.next_recorded);
  showNumbers(last);
  showRemark(last);
  showPlaying();
}

function showNumbers({ imagined, true: truth }) {
  const rows = [["reward", "reward"]];
  if (about.discount !== null) rows.push(["value", "value"]);
  if (about.has_cont) rows.push(["cont", "goes on"]);
  find("numbers").replaceChildren(
    ...rows.map(([name, heading]) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = heading;
      const cells = [truth?.[name], imagined[name]].map((value) => {
        const cell = document.createElement("td");
        cell.textContent = said(value);
        return cell;
      });
      cells[1].dataset.number = name;
      row.append(head, ...cells);
      return row;
    }),
  );
}

function showRemark(last) {
  const remarks = [];
  if (last.step === 0) {
    remarks.push("The moment itself: what the model makes of all it has seen until here.");
  } else if (last.true === null) {
    remarks.push("The recorded episode is over; the dream goes on alone.");
  } else if (!last.follows) {
    remarks.push("Truth is what happened under other actions: do not compare.");
  } else {
    remarks.push("The same actions as were truly taken: truth and dream can be compared.");
  }
  if (about.has_cont && last.imagined.cont < 0.5) {
    remarks.push("The model believes that the episode has ended.");
  }
  if (last.true?.is_terminal) remarks.push("In truth the episode ends here.");
  find("remark").textContent = remarks.join(" ");
}

// ------------------------------------------------------------------------------------ who acts

const NAMES = {
  actor: { mode: ["Actor", "A"], sample: ["Actor, sampled", "S"] },
  planner: { mode: ["Planner", "A"], sample: ["Planner, sampled", "S"] },
};

// Of an agent of one's own, whose behaviour may choose otherwise, the choice's own name.
const nameOf = (choice) => NAMES[about.behavior]?.[choice] ?? [choice, choice[0].toUpperCase()];

function makeWho() {
  const choices = [["you", "You", "Y"]];
  for (const choice of about.choices) choices.push([choice, ...nameOf(choice)]);
  choices.push(["recorded", "As recorded", "T"]);
  find("who").replaceChildren(
    ...choices.map(([value, name, key]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      button.dataset.who = value;
      button.dataset.key = key.toLowerCase();
      button.textContent = name;
      button.title = `${name} (${key})`;
      button.addEventListener("click", () => setWho(value));
      return button;
    }),
  );
}

function setWho(value) {
  who = value;
  for (const button of find("who").children) {
    button.setAttribute("aria-checked", button.dataset.who === who);
  }
  root.dataset.who = who;
  const yours = actions.isOneChoice
    ? "A click on a choice takes it; while the dream plays, it takes the last one chosen."
    : "Set an action, then step or play; it stays until you change it.";
  find("acting-hint").textContent =
    who === "you" ? `${yours} The mark shows what was truly done.` : "Touch a control to take over.";
  showPlaying();
}

function chosen(acts) {
  if (who !== "you") setWho("you");
  if (acts && !playing) step();
}

// ------------------------------------------------------------------------------------------ keys

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { target, key } = event;
  const typing = target.closest("input:not([type=range]), select");
  const pressing = target.closest("button, summary");
  if (typing) return;
  const letter = find("who").querySelector(`[data-key="${CSS.escape(key.toLowerCase())}"]`);
  const commands = { Backspace: back, r: restart, R: restart };
  if (!pressing) Object.assign(commands, { " ": play, Enter: () => canStep() && step() });
  if (letter) letter.click();
  else if (key in commands) commands[key]();
  else if (target.type === "range" && key.startsWith("Arrow")) return;
  else if (!actions.press(key)) return;
  event.preventDefault();
}

// ----------------------------------------------------------------------------------------- start

function describe() {
  document.title = `Dream · ${about.agent} on ${about.task}`;
  find("title").textContent = `${about.agent} on ${about.task}, seed ${about.seed}`;
  find("progress").textContent = `${counts.format(about.frames)} ${about.unit}`;
  if (!about.is_finished) {
    const of = `${counts.format(about.frames)} of ${counts.format(about.steps)} ${about.unit}`;
    notice(`This run is not finished: its newest checkpoint is of ${of}.`, "unfinished");
  }
  if (!about.knows_range) {
    notice("The run does not tell the environment's own action range: numbers lie between -1 and 1.");
  }
  for (const note of about.notes) notice(note);
  const images = Object.values(about.observations).some((space) => space.is_image);
  if (!about.decoded.length) {
    find("frameless").hidden = false;
    find("frameless").textContent = "This model predicts no observations, only what they are worth.";
  }
  root.dataset.images = images;
  const value =
    about.discount === null
      ? "This agent learns no values."
      : "Value is the critic's, in truth at the state that the model inferred from what it saw; “what " +
        `came” is the discounted return (γ = ${said(about.discount)}) of the episode's rest, ` +
        `${about.counts_arrival ? "with" : "without"} the reward for arriving, as the critic counts.`;
  find("meaning").textContent =
    "Dream is the model alone: from the moment on it sees nothing. Rewards are those for arriving in " +
    `a state, as the model learned them. ${value}`;
}

function makeViews() {
  const frames = new Frames(find("frames"), about.observations, about.decoded);
  views = [
    { show: (all) => frames.show(all[all.length - 1]) },
    ...makeCurves(find("curves"), about),
    ...makeVectors(find("vectors"), about),
  ];
  actions = new Actions(find("actions"), about.actions, chosen);
  moment = new Moment(about, beginAnew, failed);
  makeWho();
}

function listen() {
  find("step").addEventListener("click", step);
  find("back").addEventListener("click", back);
  find("restart").addEventListener("click", restart);
  find("play").addEventListener("click", play);
  find("error-close").addEventListener("click", () => (find("error").hidden = true));
  document.addEventListener("keydown", press);
  find("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", () => setTheme(scheme.matches ? "dark" : "light"));
}

function setTheme(theme) {
  root.dataset.theme = theme;
  redraw();
}

// The moment that the address names, as `begin` leaves it there.
function wanted() {
  const named = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (/^\d+$/.test(named.get(name) ?? "") ? Number(named.get(name)) : null);
  return { episode: number("episode"), row: number("row"), seed: number("seed") };
}

async function start() {
  about = await get("/api/run");
  describe();
  makeViews();
  listen();
  setWho(about.choices[0]);
  const { episode, row, seed } = wanted();
  await moment.list(episode ?? about.newest);
  if (seed !== null) find("seed").value = seed;
  try {
    await moment.open(episode ?? about.newest, row);
    await begin();
  } catch (error) {
    if (episode === null) throw error;
    // A noted address may outlive its episode.
    await moment.open(about.newest);
    await begin();
    failed(error);
  }
}

ask(start);
