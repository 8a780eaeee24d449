"""What a report needs of a run folder.

Options are read as they stand in ``config.yaml``, not checked against today's schema: the runs of
an older version have reports too.
"""

import dataclasses
import json
import os
import pathlib

from dreamer_tf.apps.figures.collection import split_name
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.run_folders import is_run_folder, read_settings
from dreamer_tf.apps.figures.tasks import canonical
from dreamer_tf.apps.report.errors import ReportError
from dreamer_tf.apps.report.metrics_file import History, read_metrics
from dreamer_tf.apps.report.summary import FRAMES, unit
from dreamer_tf.common import short_name
from dreamer_tf.config.files import CONFIG_NAME

_METRICS = "metrics.jsonl"
_INFO = "info.json"
_LISTED = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A run, finished or not.

    Attributes:
      path: Its folder.
      name: How the page calls it, unlike the others.
      settings: Its options by dotted key.
      history: Its metrics.
      starts: What ``info.json`` tells of each start, oldest first; empty without that file.
      notes: What could not be read, for the user.
    """

    path: pathlib.Path
    name: str
    settings: dict[str, object]
    history: History
    starts: tuple[dict, ...]
    notes: tuple[str, ...]

    @property
    def task(self):
        """Canonical name of the task."""
        return canonical(str(self.settings.get("task", "unknown")))

    @property
    def agent(self):
        """The algorithm, which decides its colour, whatever the run is called."""
        return short_name(str(self.settings.get("agent", "unknown")))

    @property
    def seed(self):
        """The seed, as text."""
        return str(self.settings.get("seed", "unknown"))

    @property
    def steps(self):
        """Frames that it was asked to collect."""
        return self.settings["steps"]

    @property
    def unit(self):
        """What its frames are: ``frames``, or ``updates``, see `summary.unit`."""
        acted = self.history.series.get("agent_steps")
        return FRAMES if acted is None else unit(self.history.env_frames, acted.last)

    @property
    def is_finished(self):
        """Whether it has collected them."""
        return self.history.env_frames >= self.steps


def read_runs(texts):
    """Reads the runs of one page.

    Args:
      texts: Run folders; ``NAME=PATH`` calls the run at PATH NAME.

    Returns:
      List of `Run` in that order, each with a name of its own.

    Raises:
      ReportError: If one is no run folder, is given twice, or cannot be read.
    """
    given = [split_name(text) for text in texts]
    for name, path in given:
        _check(name, path)
    resolved = [path.resolve() for _, path in given]
    for index, path in enumerate(resolved):
        if path in resolved[:index]:
            raise ReportError(f"{given[index][1]} is given twice")
    labels = _labels([name for name, _ in given], resolved)
    return [_read_run(path, label) for path, label in zip(resolved, labels, strict=True)]


def _check(name, path):
    if is_run_folder(path):
        return
    shown = f"{name}={path}" if name else str(path)
    if not path.exists():
        raise ReportError(f"there is nothing at {shown}")
    if not path.is_dir():
        raise ReportError(f"{shown} is a file; expected a run folder, as --logdir names it")
    inside = sorted(folder.parent for folder in path.glob(f"*/{CONFIG_NAME}"))
    if inside:
        listed = " ".join(map(str, inside[:_LISTED])) + (" …" if len(inside) > _LISTED else "")
        raise ReportError(f"{shown} is not a run folder but holds {len(inside)}: give {listed}")
    raise ReportError(f"{shown} is not a run folder: it has no {CONFIG_NAME}")


def _labels(names, paths):
    """A name for each run: the user's or the folder's, with as much before it as tells them apart.

    Args:
      names: Given names, empty where there is none.
      paths: Resolved paths, all different.
    """
    depths = [1] * len(paths)

    def label(index):
        tail = os.sep.join(paths[index].parts[-depths[index] :])
        if not names[index]:
            return tail
        return names[index] if names.count(names[index]) == 1 else f"{names[index]}: {tail}"

    while True:
        labels = [label(index) for index in range(len(paths))]
        twins = [index for index, text in enumerate(labels) if labels.count(text) > 1]
        deeper = [index for index in twins if depths[index] < len(paths[index].parts)]
        if not deeper:
            return labels
        for index in deeper:
            depths[index] += 1


def _read_run(path, label):
    try:
        settings = read_settings(path / CONFIG_NAME)
    except FigureError as error:
        raise ReportError(str(error)) from error
    starts, notes = _read_starts(path / _INFO)
    history = read_metrics(path / _METRICS, starts)
    return Run(path, label, settings, history, starts, (*notes, *history.notes))


def _read_starts(path):
    """The entries of ``info.json``, and notes about what could not be read."""
    if not path.is_file():
        return (), ()
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return (), (f"{path.name} is left out, it is not valid JSON: {error}",)
    if not isinstance(starts, list) or not all(isinstance(start, dict) for start in starts):
        return (), (f"{path.name} is left out: expected a list of starts",)
    return tuple(starts), ()
