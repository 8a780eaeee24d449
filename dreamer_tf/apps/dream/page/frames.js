// Images: truth, dream, and what lies between them.

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

// Paints an image [height, width, channels] of bytes; one or two channels are shown grey, of more the first three.
export function paint(canvas, pixels, [height, width, channels]) {
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  const color = channels >= 3;
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels * i + (color ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

export function paintText(canvas, text, shape) {
  paint(canvas, bytes(text), shape);
}

// Half the difference of every byte around grey, which is none.
function difference(dream, truth) {
  return dream.map((value, i) => 127.5 + (value - truth[i]) / 2);
}

function figure(name, caption) {
  const element = document.createElement("figure");
  element.className = name;
  const canvas = document.createElement("canvas");
  canvas.className = "frame";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", caption);
  const cover = document.createElement("span");
  cover.className = "cover";
  const box = document.createElement("div");
  box.className = "box";
  box.append(canvas, cover);
  const text = document.createElement("figcaption");
  text.textContent = caption;
  element.append(box, text);
  return { element, canvas, cover, text };
}

// One row of three images for each image key; `show` draws a step.
export class Frames {
  constructor(parent, observations, decoded) {
    this.rows = Object.entries(observations)
      .filter(([, space]) => space.is_image)
      .map(([key, space]) => {
        const row = document.createElement("div");
        row.className = "frames-row";
        row.dataset.key = key;
        const parts = {
          truth: figure("truth", "truth"),
          dreamed: figure("dreamed", "dream"),
          apart: figure("apart", "difference"),
        };
        row.append(...Object.values(parts).map((part) => part.element));
        parent.append(row);
        return { key, shape: space.shape, parts, decoded: decoded.includes(key), row };
      });
    if (this.rows.length > 1) {
      for (const { row, key } of this.rows) {
        const heading = document.createElement("h3");
        heading.textContent = key;
        row.before(heading);
      }
    }
  }

  show(step) {
    for (const { key, shape, parts, decoded } of this.rows) {
      const truth = step.true && bytes(step.true.observations[key]);
      const dream = decoded ? bytes(step.imagined.observations[key]) : null;
      const comparable = truth && dream && step.follows;
      this.fill(parts.truth, truth, shape, "the episode is over");
      this.fill(parts.dreamed, dream, shape, "the model predicts no such image");
      const apart = comparable ? difference(dream, truth) : null;
      const why = truth && dream ? "other actions, nothing to compare" : "nothing to compare";
      this.fill(parts.apart, apart, shape, why);
      parts.truth.element.classList.toggle("other", !step.follows);
      parts.truth.text.textContent = step.follows ? "truth" : "truth, under other actions";
    }
  }

  fill({ canvas, cover }, pixels, shape, why) {
    cover.textContent = pixels ? "" : why;
    canvas.classList.toggle("blank", !pixels);
    paint(canvas, pixels || new Uint8Array(shape.reduce((a, b) => a * b)), shape);
  }
}
