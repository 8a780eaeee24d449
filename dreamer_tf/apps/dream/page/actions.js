// The controls of an action in the environment's own range: sliders, and buttons for categories.

import { said } from "/charts.js";

const MOST_BUTTONS = 18;
const NUDGE = 0.1; // of a slider's range, at a press of an arrow key

function slider(low, high, whole) {
  const input = document.createElement("input");
  input.type = "range";
  input.min = low;
  input.max = high;
  input.step = whole ? 1 : "any";
  return input;
}

// One number of an action: a slider with the recorded value marked below it.
class Slider {
  constructor(parent, name, low, high, whole, changed) {
    Object.assign(this, { low, high, whole });
    const label = document.createElement("label");
    label.className = "slider";
    const text = document.createElement("span");
    text.textContent = name;
    this.output = document.createElement("output");
    this.input = slider(low, high, whole);
    this.mark = document.createElement("i");
    this.mark.title = "what was truly done";
    const track = document.createElement("span");
    track.className = "track";
    track.append(this.input, this.mark);
    label.append(text, this.output, track);
    parent.append(label);
    this.input.addEventListener("input", () => {
      this.set(Number(this.input.value));
      changed(false);
    });
    this.centre();
  }

  get value() {
    return this.current;
  }

  set(value) {
    this.current = Math.min(this.high, Math.max(this.low, value));
    this.input.value = this.current;
    this.output.textContent = said(Number(this.current.toFixed(3)));
  }

  nudge(direction) {
    const step = NUDGE * (this.high - this.low);
    this.set(this.value + direction * (this.whole ? Math.max(1, Math.round(step)) : step));
  }

  centre() {
    const middle = (this.low + this.high) / 2;
    this.set(this.whole ? Math.round(middle) : middle);
  }

  recorded(value) {
    this.mark.hidden = value === null;
    const share = this.high > this.low ? (value - this.low) / (this.high - this.low) : 0;
    this.mark.style.setProperty("--share", share);
  }
}

// One category: a button for each.
class Choice {
  constructor(parent, name, low, high, changed) {
    Object.assign(this, { low, high });
    const group = document.createElement("div");
    group.className = "choice";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", name);
    const text = document.createElement("span");
    text.textContent = name;
    group.append(text);
    this.buttons = Array.from({ length: high - low + 1 }, (_, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = low + i;
      button.addEventListener("click", () => {
        this.set(low + i);
        changed(true);
      });
      group.append(button);
      return button;
    });
    parent.append(group);
    this.set(low);
  }

  get value() {
    return this.current;
  }

  set(value) {
    this.current = value;
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", this.low + i === value));
  }

  nudge(direction) {
    const count = this.buttons.length;
    this.set(this.low + ((this.value - this.low + direction + count) % count));
  }

  recorded(value) {
    this.buttons.forEach((button, i) => button.classList.toggle("recorded", this.low + i === value));
  }
}

export class Actions {
  // `changed(acts)` is called when the person chose something; `acts` says that this is a whole
  // action, the choice of one among few.
  constructor(parent, spaces, changed) {
    this.keys = Object.keys(spaces);
    const alone = this.keys.length === 1;
    this.parts = Object.entries(spaces).flatMap(([key, space]) =>
      space.low.map((low, i) => {
        const high = space.high[i];
        const name = space.low.length > 1 ? `${key}[${i}]` : key;
        const few = space.is_discrete && high - low < MOST_BUTTONS;
        const whole = alone && space.low.length === 1;
        const control = few
          ? new Choice(parent, name, low, high, (click) => changed(click && whole))
          : new Slider(parent, name, low, high, space.is_discrete, () => changed(false));
        return { key, index: i, control };
      }),
    );
    this.changed = changed;
  }

  get isOneChoice() {
    return this.parts.length === 1 && this.parts[0].control instanceof Choice;
  }

  get hasSliders() {
    return this.parts.some(({ control }) => control instanceof Slider);
  }

  read() {
    const action = Object.fromEntries(this.keys.map((key) => [key, []]));
    for (const { key, control } of this.parts) action[key].push(control.value);
    return action;
  }

  show(action) {
    for (const { key, index, control } of this.parts) control.set(action[key][index]);
  }

  showRecorded(action) {
    for (const { key, index, control } of this.parts) {
      control.recorded(action ? action[key][index] : null);
    }
  }

  // Whether the key meant an action.
  press(key) {
    const nudges = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };
    if (key in nudges) {
      const [place, direction] = nudges[key];
      const part = this.parts[place];
      if (!part) return false;
      part.control.nudge(direction);
      this.changed(this.isOneChoice);
      return true;
    }
    return /^\d$/.test(key) && this.pressNumber(Number(key));
  }

  pressNumber(number) {
    const choice = this.parts.find(({ control }) => control instanceof Choice)?.control;
    if (choice && number >= choice.low && number <= choice.high) {
      choice.set(number);
      this.changed(this.isOneChoice);
      return true;
    }
    if (number !== 0 || !this.hasSliders) return false;
    for (const { control } of this.parts) if (control instanceof Slider) control.centre();
    this.changed(false);
    return true;
  }
}
