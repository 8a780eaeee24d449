"""What a figure needs of a run folder: its curve, its options, and how far it came.

Options are read as they stand in ``config.yaml``, not checked against today's schema: the runs of
an older version make figures too.
"""

import dataclasses
import json
import os
import pathlib

import numpy as np

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.scores import Curve, read_score_file
from dreamer_tf.apps.figures.tasks import canonical
from dreamer_tf.common import short_name
from dreamer_tf.config import ConfigError
from dreamer_tf.config.files import CONFIG_NAME
from dreamer_tf.config.moved import MOVED
from dreamer_tf.config.options import nested_items
from dreamer_tf.config.resolve import read_tree
from dreamer_tf.runs import lost

ACHIEVEMENTS = "train/log_achievements"
"""The metric in the line of an episode of Crafter that counts what was unlocked in it."""

SCORES = "scores.json"
"""The learning curve in a run folder."""
FRAMES, UPDATES = "frames", "updates"

_AGENT_STEPS = "agent_steps"
_BLOCK = 1 << 16


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """A run folder.

    Attributes:
      path: The folder.
      settings: Its options by dotted key.
      curve: Its learning curve; None before the first score.
      env_frames: Frames that it has collected.
      unit: What these are, see `unit`.
    """

    path: pathlib.Path
    settings: dict[str, object]
    curve: Curve | None
    env_frames: int
    unit: str = FRAMES

    @property
    def steps(self):
        """Frames that it was asked to collect."""
        return self.settings["steps"]

    @property
    def is_finished(self):
        """Whether it has collected them."""
        return self.env_frames >= self.steps


def unit(env_frames, agent_steps):
    """What a run counts as its env_frames: ``frames``, or ``updates`` as long as nothing acted.

    A run that learns from recorded episodes counts its updates there, see `training.offline`.
    """
    return UPDATES if env_frames and not agent_steps else FRAMES


def is_run_folder(path):
    """Whether a folder is one that ``train`` makes."""
    return (path / CONFIG_NAME).is_file()


def read_run_folder(path, metric=""):
    """Reads a run folder.

    Args:
      path: The folder.
      metric: Name of the metric that is the score; empty: what ``scores.json`` holds.

    Raises:
      FigureError: If it is none, or its files cannot be read.
    """
    path = pathlib.Path(path)
    settings = read_settings(path / CONFIG_NAME)
    curve = None
    if metric:
        curve = _metric_curve(path, settings, metric)
    elif (path / SCORES).is_file():
        curves, finals = read_score_file(path / SCORES)
        if finals or len(curves) > 1:
            raise FigureError(f"{path / SCORES}: expected the curve of one run")
        curve = curves[0] if curves else None
    if curve is not None:
        curve = dataclasses.replace(curve, source=path, settings=settings)
    frames = max(last_step(path / lost.METRICS_NAME), 0 if curve is None else int(curve.end))
    return RunFolder(path, settings, curve, frames, _unit(path / lost.METRICS_NAME, frames))


def _metric_curve(path, settings, name):
    """The curve of a metric, the mean where several lines have the same frames; None if none has.

    Raises:
      FigureError: If a line is no metrics.
    """
    found = metric_values(path, name)
    if not found:
        return None
    xs = np.array(sorted(found), float)
    ys = np.array([np.mean(found[x]) for x in xs])
    task, method = canonical(settings["task"]), short_name(settings["agent"])
    return Curve(task, method, str(settings["seed"]), xs, ys, path)


def metric_values(path, name):
    """The values of a metric by the frames at which they were logged, in the order of the file.

    What a killed process lost does not count, but for episodes: they were played.

    Args:
      path: The run folder.
      name: Name of the metric.

    Returns:
      Dict of frames to a list of values.

    Raises:
      FigureError: If a line is no metrics.
    """
    points, _ = lost.kept_points(
        _lines_with(path / lost.METRICS_NAME, name), lost.read_starts(path)
    )
    found = {}
    for step, value in points.get(name, ()):
        found.setdefault(step, []).append(value)
    return found


def metric_lines(path, name):
    """The lines of a run's metrics that hold a metric, each its frames and a dict of all it holds.

    Args:
      path: The run folder; without metrics there are no lines.
      name: Name of the metric.

    Raises:
      FigureError: If a line is no metrics.
    """
    lines = _lines_with(path / lost.METRICS_NAME, name)
    return [(line["step"], line) for _, line in lines]


def _lines_with(path, name):
    """Yields the place of each whole line that holds a metric, and all that it holds."""
    if not path.is_file():
        return
    place, word = 0, f'"{name}"'.encode()
    with path.open("rb") as file:
        for text in file:
            if text.endswith(b"\n") and word in text:
                step = _step(path, text)
                yield place, json.loads(text) | {"step": step}
            place += len(text)


def last_step(path):
    """The ``step`` of the last whole line of a ``metrics.jsonl``; 0 if there is none."""
    return next((_step(path, line) for line in _newest_first(path)), 0)


def _unit(path, env_frames):
    """The `unit` of a run, by the newest line of its metrics that counts actions."""
    word = f'"{_AGENT_STEPS}"'.encode()
    for line in _newest_first(path):
        if word in line:
            _step(path, line)  # Else it is no metrics.
            return unit(env_frames, json.loads(line)[_AGENT_STEPS])
    return FRAMES


def _newest_first(path):
    """Yields the whole lines of a file from its end; none if there is no such file."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        position, tail, is_whole = file.seek(0, os.SEEK_END), b"", False
        while position > 0:
            size = min(_BLOCK, position)
            position -= size
            file.seek(position)
            tail = file.read(size) + tail
            if not is_whole:
                # What stands behind the last newline is being written, or was cut off.
                end = tail.rfind(b"\n")
                if end < 0:
                    continue
                tail, is_whole = tail[:end], True
            tail, *lines = tail.split(b"\n")
            yield from reversed(lines)
        if is_whole:
            yield tail


def _step(path, line):
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError) as error:
        raise FigureError(f"{path}: the last line is no metrics: {line[:80]!r}") from error


def read_settings(path):
    """The options in a ``config.yaml`` by dotted key; ``steps`` is among them.

    Raises:
      FigureError: If the file is missing or is not the config of a run.
    """
    if not path.is_file():
        raise FigureError(f"{path.parent} is not a run folder: it has no {path.name}")
    try:
        tree = read_tree(path)
    except ConfigError as error:
        raise FigureError(str(error)) from error
    settings = dict(nested_items(tree))
    # Runs from before an option got another name are found by the new one, too.
    moved = {new: value for key, value in settings.items() for new in MOVED.get(key, ())}
    settings = moved | settings
    if not isinstance(settings.get("steps"), int):
        raise FigureError(f"{path} is not the config of a run: it has no number of steps")
    return settings
