"""Learning curves and final scores, as run folders and the authors' score files hold them.

Two forms of files are read, each also gzipped::

    [{"task": …, "method": …, "seed": …, "xs": [frames, …], "ys": [return, …]}, …]     curves
    {task: {method: score, …}, …}                                              final scores

A ``null`` among ``ys`` is a point without a score. Entries whose task begins with ``stats_`` are
averages that some files hold beside the tasks; they are left out.
"""

import dataclasses
import gzip
import json
import math
import numbers
import pathlib
import typing

import numpy as np

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.tasks import canonical, is_task

SUFFIXES = (".json", ".json.gz")
_KEYS = ("task", "method", "seed", "xs", "ys")


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """One learning curve: one method on one task with one seed.

    Attributes:
      task: Canonical name of the task.
      method: Name of the method.
      seed: The seed, as text.
      xs: Environment frames, float64 ``[N]``, rising.
      ys: Scores, float64 ``[N]``, all finite; means where several came at the same frame.
      source: File or folder that it comes from.
      settings: Options of the run by dotted key; empty for score files, which do not tell.
      algorithm: The method's own name, where a user gave it another; else empty.
    """

    task: str
    method: str
    seed: str
    xs: np.ndarray
    ys: np.ndarray
    source: pathlib.Path
    settings: typing.Mapping[str, object] = dataclasses.field(default_factory=dict)
    algorithm: str = ""

    @property
    def end(self):
        """Frames at the last point."""
        return self.xs[-1]


@dataclasses.dataclass(frozen=True)
class FinalScore:
    """A single number that a method reached on a task; ``algorithm`` as a `Curve` has it."""

    task: str
    method: str
    score: float
    source: pathlib.Path
    algorithm: str = ""


def is_score_file(path):
    """Whether a file's name is one that a score file may have."""
    return path.name.endswith(SUFFIXES)


def read_score_file(path):
    """Reads curves or final scores.

    Args:
      path: A ``.json`` or ``.json.gz`` file in one of the two forms.

    Returns:
      List of `Curve` and list of `FinalScore`; one of them is empty.

    Raises:
      FigureError: If the file has neither form; the message says where it differs.
    """
    path = pathlib.Path(path)
    content = _read_json(path)
    if isinstance(content, list):
        entries = [_entry(path, i, entry) for i, entry in enumerate(content)]
        curves = [_curve(path, entry) for entry in entries if is_task(entry["task"])]
        return [curve for curve in curves if curve is not None], []
    if isinstance(content, dict):
        return [], list(_finals(path, content))
    raise FigureError(f"{_not_scores(path)}, got {type(content).__name__}")


def _read_json(path):
    if not is_score_file(path):
        raise FigureError(f"{path}: a score file ends in {' or '.join(SUFFIXES)}")
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise FigureError(f"{path} cannot be read as JSON: {error}") from error


def _entry(path, index, entry):
    if not isinstance(entry, dict) or not set(_KEYS) <= entry.keys():
        got = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise FigureError(f"{_not_scores(path)}; entry {index} has {got or 'no keys'}")
    xs, ys = entry["xs"], entry["ys"]
    for key, values, kinds in (("xs", xs, numbers.Real), ("ys", ys, numbers.Real | None)):
        if not isinstance(values, list) or not all(isinstance(value, kinds) for value in values):
            raise FigureError(f"{path}: {key} of entry {index} is not a list of numbers")
    if len(xs) != len(ys):
        raise FigureError(f"{path}: entry {index} has {len(xs)} xs but {len(ys)} ys")
    return entry


def _curve(path, entry):
    """The curve of an entry; None if no point of it has a score."""
    xs = np.array(entry["xs"], float)
    ys = np.array([math.nan if y is None else y for y in entry["ys"]], float)
    keep = np.flatnonzero(np.isfinite(ys))
    order = keep[np.argsort(xs[keep], kind="stable")]
    if not len(order):
        return None
    task, method, seed = canonical(entry["task"]), str(entry["method"]), str(entry["seed"])
    # Environments that are played side by side end their episodes at the same frame.
    points, place = np.unique(xs[order], return_inverse=True)
    means = np.bincount(place, ys[order]) / np.bincount(place)
    return Curve(task, method, seed, points, means, path)


def _finals(path, content):
    for task, scores in content.items():
        if not isinstance(scores, dict):
            raise FigureError(f"{_not_scores(path)}; {task!r} holds {type(scores).__name__}")
        for method, score in scores.items():
            if not isinstance(score, numbers.Real):
                raise FigureError(f"{_not_scores(path)}; {task!r} has {method}: {score!r}")
            if is_task(task):
                yield FinalScore(canonical(task), method, float(score), path)


def _not_scores(path):
    keys = ", ".join(_KEYS)
    return (
        f"{path} is not a score file: expected a list of objects with {keys}, "
        f"or an object {{task: {{method: score}}}}"
    )
