"""Reads ``metrics.jsonl`` into one series of points for each metric."""

import dataclasses
import pathlib

import numpy as np

from dreamer_tf.runs.lost import kept_points, read_lines

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

    Work that a killed process lost stays in the file; its points are left out, see `kept_points`.

    Args:
      path: The file; missing: a run that has logged nothing yet.
      starts: Dicts of the run's starts, as ``info.json`` has them.

    Returns:
      `History`.
    """
    path = pathlib.Path(path)
    unreadable = []
    points, last = kept_points(read_lines(path, unreadable), starts)
    series = {name: _series(pairs) for name, pairs in points.items()}
    begun = sorted(start.get("env_frames", 0) for start in starts)
    return History(series, last, _notes(path, unreadable), tuple(begun))


def _series(pairs):
    xs, ys = zip(*sorted(pairs, key=lambda pair: pair[0]), strict=True)
    return Series(np.array(xs, np.int64), np.array(ys, np.float64))


def _notes(path, unreadable):
    if not unreadable:
        return ()
    shown = ", ".join(map(str, unreadable[:5])) + (", …" if len(unreadable) > 5 else "")
    return (f"{path.name}: left out what is no line of metrics: line {shown}",)
