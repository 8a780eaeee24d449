"""The few numbers of a run that a reader wants first."""

import dataclasses

import numpy as np

from dreamer_tf.apps.report.curves import EVALUATION, TRAINING

_END = 0.9
_UPDATING = ("updating", "data")
_ACTIVITIES = ("acting", *_UPDATING, "waiting", "evaluation", "saving", "other")


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a run did.

    Attributes:
      kind: ``evaluation``, or ``training`` of a run that was never evaluated.
      final: Mean over the points in the last tenth of the frames so far.
      best: Highest point.
      best_frames: Where that was.
    """

    kind: str
    final: float
    best: float
    best_frames: int


def score(history):
    """The `Score` of a run; None before its first episode ends."""
    for kind, name in (("evaluation", EVALUATION), ("training", TRAINING)):
        series = history.series.get(name)
        if series is not None:
            end = series.ys[series.xs >= _END * series.xs[-1]]
            best = int(series.ys.argmax())
            return Score(kind, float(end.mean()), float(series.ys[best]), int(series.xs[best]))
    return None


def latest(history, name):
    """The newest value of a metric; None if the run has not logged it."""
    series = history.series.get(name)
    return None if series is None else float(series.last)


def typical(history, name):
    """The median of a metric, which an interval with start-up in it does not move; or None."""
    series = history.series.get(name)
    return None if series is None else float(np.median(series.ys))


def time_shares(history):
    """Which share of the logged time each activity took.

    Updates that were made beside acting took none, but for what acting waited for them.

    Returns:
      Dict of activity to share, in a fixed order; empty if the run has logged no interval.
    """
    seconds = history.seconds()
    names = [name for name in _ACTIVITIES if f"time/{name}" in history.series]
    if not seconds.sum():
        return {}
    spent = {name: history.series[f"time/{name}"].ys for name in names}
    spent = {name: float(ys @ seconds) for name, ys in spent.items() if len(ys) == len(seconds)}
    if "waiting" in spent:
        spent = {name: value for name, value in spent.items() if name not in _UPDATING}
    total = sum(spent.values())
    return {name: value / total for name, value in spent.items()} if total else {}
