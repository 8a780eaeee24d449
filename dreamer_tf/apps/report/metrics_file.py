"""Reads ``metrics.jsonl`` into one series of points for each metric."""

import dataclasses
import json
import math
import numbers
import pathlib

import numpy as np

SPEED = "speed/frames"


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """The values of one metric.

    Attributes:
      xs: env_frames, int64 ``[N]``, never falling; several episodes may end at the same frame.
      ys: Values, float64 ``[N]``, exactly those of the file.
    """

    xs: np.ndarray
    ys: np.ndarray

    @property
    def last(self):
        """The newest value."""
        return self.ys[-1]


@dataclasses.dataclass(frozen=True, eq=False)
class History:
    """What a run has logged.

    Attributes:
      series: `Series` by the name of the metric, in the order of their first appearance.
      env_frames: Frames at the last line; 0 without any.
      notes: What could not be read, for the user.
      starts: env_frames at which the run began and continued.
    """

    series: dict[str, Series]
    env_frames: int
    notes: tuple[str, ...]
    starts: tuple[int, ...] = ()

    def seconds(self):
        """Seconds that each log interval took, float64 ``[N]``: its frames over their speed.

        The points are those of ``speed/frames``. Start-up and work that was lost do not count, nor
        frames that the run came by without playing: an interval begins no earlier than its start.
        """
        speed = self.series.get(SPEED)
        if speed is None:
            return np.zeros(0)
        begins = np.concatenate([[0], speed.xs[:-1]])
        for start in self.starts:
            begins[(begins < start) & (start <= speed.xs)] = start
        frames = speed.xs - begins
        return np.divide(frames, speed.ys, out=np.zeros(len(speed.ys)), where=speed.ys > 0)


def read_metrics(path, starts=()):
    """Reads a ``metrics.jsonl``.

    Work that a killed process lost stays in the file, and the steps after the restart follow it:
    where steps fall back, the points beyond what was saved are dropped, but for those of training
    episodes: they are in the replay before they are in the file.

    Args:
      path: The file; missing: a run that has logged nothing yet.
      starts: Dicts of the run's starts, as ``info.json`` has them.

    Returns:
      `History`.
    """
    path = pathlib.Path(path)
    points, unreadable, last = {}, [], 0
    if path.is_file():
        with path.open("rb") as file:
            for number, text in enumerate(file, 1):
                line = _parse(text)
                if line is None:
                    # A last line without an end is being written, or was when the run was killed.
                    if text.endswith(b"\n"):
                        unreadable.append(number)
                    continue
                step = line.pop("step")
                if step < last:
                    _drop_lost(points, step, starts[1:])
                last = step
                for name, value in line.items():
                    if isinstance(value, numbers.Real) and math.isfinite(value):
                        points.setdefault(name, []).append((step, value))
    series = {name: _series(pairs) for name, pairs in points.items() if pairs}
    begun = sorted(start.get("env_frames", 0) for start in starts)
    return History(series, last, _notes(path, unreadable), tuple(begun))


def _parse(text):
    """The object of a line with its ``step``; None if it is no such line."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(line, dict) and isinstance(line.get("step"), int)
    return line if fits else None


def _drop_lost(points, step, restarts):
    """Drops what was logged after the checkpoint from which the run continued.

    Without a record of that checkpoint it is known to lie before ``step``, the first line since.
    """
    fitting = [start for start in restarts if start.get("env_frames", 0) <= step]
    last = max(fitting, key=lambda start: start.get("env_frames", 0), default=None)
    saved = last.get("saved_frames", last.get("env_frames", 0)) if last else step - 1
    for name, pairs in points.items():
        while not name.startswith("train/") and pairs and pairs[-1][0] > saved:
            pairs.pop()


def _series(pairs):
    xs, ys = zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)
    return Series(np.array(xs, np.int64), np.array(ys, np.float64))


def _notes(path, unreadable):
    if not unreadable:
        return ()
    shown = ", ".join(map(str, unreadable[:5])) + (", …" if len(unreadable) > 5 else "")
    return (f"{path.name}: left out what is no line of metrics: line {shown}",)
