"""Gathers the curves and final scores that a figure compares."""

import dataclasses
import fnmatch
import json
import pathlib

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.likeness import (
    EVALUATED,
    common_unit,
    refuse_twin_finals,
    refuse_twins,
    unlike_scores,
)
from dreamer_tf.apps.figures.palette import BASELINE, PUBLISHED, rank
from dreamer_tf.apps.figures.run_folders import (
    FRAMES,
    SCORES,
    UPDATES,
    is_run_folder,
    read_run_folder,
)
from dreamer_tf.apps.figures.scores import Curve, FinalScore, is_score_file, read_score_file
from dreamer_tf.apps.figures.settings import setting, unlike
from dreamer_tf.apps.figures.tasks import canonical, title
from dreamer_tf.common import nearest
from dreamer_tf.runs.lost import METRICS_NAME

_LISTED = 5
_X_LABELS = {FRAMES: "Environment frames", UPDATES: "Updates"}
# Folders of a run that hold no other run, and may hold very much.
_OF_A_RUN = {"checkpoints", "replay", "tensorboard", "videos", "wandb", "mlflow"}


@dataclasses.dataclass(frozen=True)
class Collection:
    """What a figure compares.

    Attributes:
      runs: Learning curves of the runs.
      others: Learning curves of the baselines, on the same tasks.
      finals: Final scores of the baselines, on the same tasks.
      notes: What was left out and why, and what is compared although it is unlike, for the user.
      unit: What the frames of the runs are, see `run_folders.unit`.
    """

    runs: tuple[Curve, ...]
    others: tuple[Curve, ...] = ()
    finals: tuple[FinalScore, ...] = ()
    notes: tuple[str, ...] = ()
    unit: str = FRAMES

    @property
    def curves(self):
        """All learning curves."""
        return self.runs + self.others

    @property
    def x_label(self):
        """What stands at the axis of the frames."""
        return _X_LABELS[self.unit]

    @property
    def tasks(self):
        """Names of the tasks of the runs, in the order of their titles."""
        return sorted({curve.task for curve in self.runs}, key=title)

    @property
    def methods(self):
        """Names of the methods that have a curve: known ones first, then by name."""
        return sorted({curve.method for curve in self.curves}, key=rank)

    @property
    def baselines(self):
        """Names of the methods that have final scores."""
        return sorted({final.method for final in self.finals}, key=rank)

    @property
    def algorithms(self):
        """Dict of the names that a user gave to what they stand for, where that is one method."""
        found = {}
        for score in (*self.curves, *self.finals):
            if score.algorithm:
                found.setdefault(score.method, set()).add(score.algorithm)
        return {name: min(methods) for name, methods in found.items() if len(methods) == 1}

    def of(self, task, method):
        """The curves of a method on a task, by seed."""
        found = [c for c in self.curves if c.task == task and c.method == method]
        return sorted(found, key=lambda curve: (len(curve.seed), curve.seed))

    def final(self, task, method):
        """The final score of a baseline on a task; None if there is none."""
        found = [f.score for f in self.finals if f.task == task and f.method == method]
        return found[0] if found else None

    @property
    def own(self):
        """Names of the methods of the runs."""
        return sorted({curve.method for curve in self.runs}, key=rank)


def gather(
    runs,
    baselines=(),
    *,
    tasks=(),
    methods=(),
    group_by="",
    option="",
    unfinished=False,
    metric="",
):
    """Reads runs and score files.

    Args:
      runs: Run folders, score files, and folders that hold any of these. ``NAME=PATH`` gives all
        that is found there the method name NAME.
      baselines: The same, for comparison: a method that is also among the runs is shown apart.
      tasks: Patterns such as ``dmc_*``; empty: all tasks.
      methods: Names of the methods to keep; empty: all.
      group_by: Dotted option of the runs that tells methods apart, in place of the agent's name.
      option: Dotted option over which a figure sweeps; runs with different values of it may be
        alike in task, method and seed.
      unfinished: Whether to take runs that have not collected all their frames.
      metric: Name of the metric that is the score of run folders; empty: what their ``scores.json``
        holds.

    Returns:
      `Collection` with at least one curve.

    Raises:
      FigureError: If a path is no run and no score file, a run is unfinished, two curves have the
        same task, method and seed, two final scores the same task and method, some runs count
        frames and some updates, or nothing is left.
    """
    notes = []
    reader = _read_all(runs, group_by, unfinished, notes, metric)
    if reader.finals:
        raise FigureError(
            f"{reader.finals[0].source} holds final scores, not learning curves: give it to "
            f"--baselines"
        )
    beside = _read_all(baselines, "", unfinished, notes, metric)
    refuse_twins(reader.curves, option)
    refuse_twins(beside.curves)
    own = {curve.method for curve in reader.curves}
    others = [_apart(curve, own) for curve in beside.curves]
    finals = [_apart(final, own) for final in beside.finals]
    chosen = _select(Collection(reader.curves, others, finals), tasks, methods)
    refuse_twin_finals(chosen.finals)
    units = reader.units | beside.units
    notes += unlike(chosen.curves, option, [EVALUATED] if metric else [])
    notes += unlike_scores(chosen, metric)
    unit = common_unit(chosen, units, notes)
    return dataclasses.replace(chosen, notes=tuple(notes), unit=unit)


def _apart(score, own):
    """A baseline under a name of its own, if one of the runs has the same method."""
    if score.method not in own:
        return score
    ending = BASELINE if getattr(score, "settings", None) else PUBLISHED
    return dataclasses.replace(score, method=score.method + ending)


def _read_all(paths, group_by, unfinished, notes, metric=""):
    reader = _Reader(group_by, unfinished, notes, metric)
    # What has a name keeps it, wherever it stands: a folder around it is read afterwards.
    for path in sorted(paths, key=lambda text: not split_name(text)[0]):
        reader.read(path)
    reader.check_finished()
    reader.note_inner_runs()
    return reader


class _Reader:
    """Reads paths one after the other, each file and folder once."""

    def __init__(self, group_by, unfinished, notes, metric):
        self.curves = []
        self.finals = []
        self.units = {}
        self._group_by = group_by
        self._unfinished = unfinished
        self._notes = notes
        self._metric = metric
        self._behind = []
        self._seen = set()
        self._inner = []

    def read(self, text):
        """Reads what stands at ``PATH`` or ``NAME=PATH``."""
        name, path = split_name(text)
        if not path.exists():
            raise FigureError(f"there is nothing at {path}")
        first_curve, first_final, seen = len(self.curves), len(self.finals), len(self._seen)
        found = self._folder(path) if path.is_dir() else self._once(path, self._file)
        if not found:
            raise FigureError(
                f"{path} is no run folder and holds none, nor score files: a run folder has "
                f"config.yaml and scores.json, a score file ends in .json or .json.gz"
            )
        if name and len(self._seen) == seen:
            raise FigureError(f"all of {path} has another name already; {name} would have nothing")
        if name:
            self.curves[first_curve:] = [_named(c, name) for c in self.curves[first_curve:]]
            self.finals[first_final:] = [_named(f, name) for f in self.finals[first_final:]]

    def check_finished(self):
        """Raises `FigureError` if runs are unfinished and were not asked for."""
        if not self._behind:
            return
        lines = [
            f"{run.path}: {run.env_frames:,} of {run.steps:,} {run.unit}"
            for run in self._behind[:_LISTED]
        ]
        if len(self._behind) > _LISTED:
            lines.append(f"and {len(self._behind) - _LISTED} more")
        raise FigureError(
            "not finished: " + "; ".join(lines) + ". Continue them, or draw what there is with "
            "--unfinished"
        )

    def note_inner_runs(self):
        """Notes the runs inside the folders of others, unless they were named themselves."""
        left = [path for path in self._inner if path.resolve() not in self._seen]
        if left:
            shown = ", ".join(map(str, left[:_LISTED]))
            more = f" and {len(left) - _LISTED} more" if len(left) > _LISTED else ""
            self._notes.append(
                f"left out, as runs inside the folders of others: {shown}{more}; --indir takes "
                f"them by their own paths"
            )

    def _folder(self, path):
        """Reads all that a folder holds; returns how many runs and score files these are."""
        if is_run_folder(path):
            # Its scores may have been read, under another name: they are this run.
            if not self._metric and (path / SCORES).resolve() in self._seen:
                return 1
            return self._once(path, self._run)
        found = 0
        for entry in sorted(path.iterdir()):
            if entry.is_dir():
                try:
                    found += self._folder(entry)
                except PermissionError as error:  # Of somebody who does not share it.
                    self._notes.append(f"left out: {error}")
            elif is_score_file(entry):
                try:
                    found += self._once(entry, self._file)
                except FigureError as error:
                    # Other JSON may lie beside the scores; a file that the user names must be one.
                    self._notes.append(f"left out: {error}")
        return found

    def _once(self, path, read):
        if path.resolve() not in self._seen:
            read(path)
            self._seen.add(path.resolve())
        return 1

    def _file(self, path):
        curves, finals = read_score_file(path)
        self.curves += [self._grouped(curve) for curve in curves]
        self.finals += finals

    def _run(self, path):
        run = read_run_folder(path, self._metric)
        self.units[path] = run.unit
        self._inner += _runs_inside(path)
        if not self._metric:
            self._seen.add((path / SCORES).resolve())
        if not (run.is_finished or self._unfinished):
            self._behind.append(run)
        elif run.curve is None:
            reason = "no scores yet: it has not come to its first evaluation"
            if self._metric:
                reason = f"no {self._metric} in its metrics yet"
            if not self._unfinished:
                raise FigureError(f"{path} has {reason.replace(' yet', '')}")
            self._notes.append(f"left out: {path} has {reason}")
        else:
            self.curves.append(self._grouped(run.curve))

    def _grouped(self, curve):
        if not self._group_by:
            return curve
        value = setting(curve, self._group_by)
        if not isinstance(value, str):
            name = self._group_by.rpartition(".")[2].replace("_", " ")
            value = f"{name} {json.dumps(value)}"
        return dataclasses.replace(curve, method=value)


def _named(score, name):
    return dataclasses.replace(score, method=name, algorithm=score.method)


def split_name(text):
    """``NAME=PATH`` as (name, path); the name is empty where there is none."""
    name, equals, path = str(text).partition("=")
    if not equals or pathlib.Path(text).exists():
        return "", pathlib.Path(text)
    return name, pathlib.Path(path)


def _runs_inside(path):
    """The run folders below a folder, such as those of the tasks that a run had learned before."""
    found = []
    for entry in sorted(path.iterdir()):
        if not entry.is_dir() or entry.name in _OF_A_RUN:
            continue
        # Other tools have a config.yaml, too.
        if is_run_folder(entry) and any((entry / n).is_file() for n in (SCORES, METRICS_NAME)):
            found.append(entry)
        else:
            found += _runs_inside(entry)
    return found


def _select(collection, tasks, methods):
    known_tasks, known = collection.tasks, {*collection.methods, *collection.baselines}
    if not collection.runs:
        raise FigureError("there is no learning curve in what --indir names")
    patterns = [canonical(pattern) for pattern in tasks] or ["*"]
    for pattern in patterns:
        if not fnmatch.filter(known_tasks, pattern):
            raise FigureError(f"no curve is of a task {pattern!r}{_nearest(pattern, known_tasks)}")
    for method in methods:
        if method not in known:
            raise FigureError(f"there is no method {method!r}{_nearest(method, known)}")
    wanted = {
        task for task in known_tasks for pattern in patterns if fnmatch.fnmatch(task, pattern)
    }

    def keep(scores):
        return tuple(
            score
            for score in scores
            if score.task in wanted and (not methods or score.method in methods)
        )

    runs = keep(collection.runs)
    if not runs:
        raise FigureError("none of these runs is left to draw: --methods names none of theirs")
    wanted = {curve.task for curve in runs}
    return Collection(runs, keep(collection.others), keep(collection.finals))


def _nearest(name, known):
    near = nearest(name, known) or sorted(known)[:_LISTED]
    return f"; there is {', '.join(near)}" if near else ""
