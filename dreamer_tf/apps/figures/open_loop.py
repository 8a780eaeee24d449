"""Open-loop prediction as a strip of pictures: truth, model and error over time.

The pictures come from the videos that training saves: rows are the truth, the model and their
difference, sequences stand side by side.
"""

import math
import pathlib
import re

import imageio.v3 as imageio
import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.drawing import Drawing
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.run_folders import is_run_folder, read_run_folder

CONTEXT = 5
"""First pictures of a prediction, for which the model saw the observations."""

_ROWS = ("True", "Model", "Error")
_FORMATS = (".gif", ".mp4")
_DURATION = 100  # milliseconds of a picture in the videos of training
_NAME = re.compile(r"(\d+)-openloop-(.+)\.(?:gif|mp4)")


def draw(path, *, key="image", sequences=1, pictures=10, steps=None, context=CONTEXT):
    """Draws a strip of an open-loop prediction.

    Args:
      path: Run folder, whose newest prediction is taken, or a video of a prediction.
      key: Which image observation, if the run has several.
      sequences: How many sequences to show, one below the other.
      pictures: Most points in time to show, evenly spaced.
      steps: The points in time, instead.
      context: First pictures for which the model saw the observations.

    Returns:
      `Drawing`.

    Raises:
      FigureError: If there is no such video, or it is shorter than asked for.
    """
    path = pathlib.Path(path)
    video, aspect = _find(path, key)
    cells = _cut(video, _frames(video), aspect)
    length, shown = len(cells), min(sequences, cells.shape[1])
    if steps is None:
        steps = range(0, length, math.ceil(length / pictures))
    beyond = [step for step in steps if not 0 <= step < length]
    if beyond:
        raise FigureError(f"{video} has {length} pictures, 0 to {length - 1}; not {beyond[0]}")
    with canvas.style():
        figure = _draw_strip(cells[:, :shown], list(steps), context)
    notes = ()
    if shown < sequences:
        notes = (f"{video} holds {shown} sequences",)
    return Drawing(figure, f"{video}: pictures {', '.join(map(str, steps))}", notes)


def _find(path, key):
    """The video and how much wider than high its pictures are."""
    if not path.exists():
        raise FigureError(f"there is nothing at {path}")
    if path.suffix in _FORMATS:
        return path, 1.0
    if not (path.is_dir() and is_run_folder(path)):
        raise FigureError(f"{path} is neither a run folder nor a video ({', '.join(_FORMATS)})")
    videos = sorted((path / "videos").glob("*-openloop-*"))
    named = [(video, _NAME.fullmatch(video.name)) for video in videos]
    keys = sorted({match[2] for _, match in named if match})
    fitting = [(int(match[1]), video) for video, match in named if match and match[2] == key]
    if keys and not fitting:
        raise FigureError(f"{path} has no predictions of {key!r}, but of {', '.join(keys)}")
    if not fitting:
        raise FigureError(
            f"{path} has no predictions (videos/*-openloop-*.gif): a run from images saves one "
            f"every run.video_every frames, after learning has started"
        )
    height, width = read_run_folder(path).settings.get("env.image_size", (1, 1))
    return max(fitting)[1], width / height


def _frames(path):
    """The pictures of a video, uint8 ``[T, height, width, channels]``."""
    frames = imageio.imread(path)
    if path.suffix != ".gif" or frames.ndim != 4:
        return frames
    # A GIF holds a picture that does not change once, and shows it for longer.
    shown = [int(imageio.immeta(path, index=i)["duration"]) for i in range(len(frames))]
    once = min(_DURATION, math.gcd(*shown)) or _DURATION
    return np.repeat(frames, [max(1, duration // once) for duration in shown], axis=0)


def _cut(path, frames, aspect):
    """Cuts a video into its pictures: ``[T, sequences, 3, height, width, 3]``."""
    height, left = divmod(frames.shape[1], len(_ROWS))
    count = round(frames.shape[2] / (height * aspect)) if height else 0
    if frames.ndim != 4 or left or count < 1 or frames.shape[2] % count:
        raise FigureError(
            f"{path} is no prediction: expected three rows of pictures, got {frames.shape}"
        )
    shape = (len(frames), len(_ROWS), height, count, frames.shape[2] // count, frames.shape[3])
    return frames[..., :3].reshape(shape).transpose(0, 3, 1, 2, 4, 5)


def _draw_strip(cells, steps, context):
    """One row of pictures for truth, model and error of every sequence."""
    sequences, height, width = cells.shape[1], cells.shape[3], cells.shape[4]
    rows = sequences * len(_ROWS)
    picture = (canvas.PAGE_WIDTH - 0.3) / max(len(steps), 6)
    size = (picture * len(steps) + 0.3, picture * rows * height / width + 0.42)
    figure, axes = canvas.pictures(rows, len(steps), size)
    for row in range(rows):
        for column, step in enumerate(steps):
            axis = axes[row][column]
            axis.imshow(cells[step, row // len(_ROWS), row % len(_ROWS)], interpolation="nearest")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.spines[:].set_visible(False)
            if row == rows - 1:
                axis.set_xlabel(f"{step}", labelpad=2)
        axes[row][0].set_ylabel(_ROWS[row % len(_ROWS)])
    _mark(figure, axes, steps, context)
    return figure


def _mark(figure, axes, steps, context):
    """Says above the pictures which the model saw and which it imagined."""
    seen = sum(step < context for step in steps)
    for first, last, text in ((0, seen, "Context"), (seen, len(steps), "Open loop")):
        if last > first:
            axes[0][first].set_title(text, loc="left", fontsize=8)
    figure.supxlabel("Time step", fontsize=8)
