"""The few numbers of a run that a reader wants first."""

import dataclasses
import pathlib

import numpy as np

from dreamer_tf.apps.figures.run_folders import FRAMES, UPDATES, unit
from dreamer_tf.apps.figures.scores import Curve
from dreamer_tf.apps.report.curves import EVALUATION, TRAINING
from dreamer_tf.apps.report.metrics_file import SPEED

__all__ = ["FRAMES", "UPDATES", "Score", "latest", "score", "time_shares", "typical", "unit"]

_UPDATING = ("updating", "data")
_ACTIVITIES = ("acting", *_UPDATING, "waiting", "evaluation", "saving", "other")


@dataclasses.dataclass(frozen=True)
class Score:
    """How well a run did.

    Attributes:
      kind: ``evaluation``, or ``training`` of a run that was never evaluated.
      final: Mean over the points in the last tenth of the frames so far, as in the figures.
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
            best = int(series.ys.argmax())
            return Score(kind, _final(series), float(series.ys[best]), int(series.xs[best]))
    return None


def _final(series):
    """The final score of a curve, by the rule of the figures."""
    from dreamer_tf.apps.figures.aggregation import final_scores  # It loads scipy.

    if series.xs[-1] <= 0:  # Nothing but what was there before the first frame.
        return float(series.ys.mean())
    [final] = final_scores([Curve("", "", "", series.xs, series.ys, pathlib.Path())])
    return float(final)


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

    Updates that were made beside acting took none, but for what acting waited for them; a run may
    have made them so in some of its starts.

    Returns:
      Dict of activity to share, in a fixed order; empty if the run has logged no interval.
    """
    found = {name: history.series.get(f"time/{name}") for name in _ACTIVITIES}
    found = {name: series for name, series in found.items() if series is not None}
    seconds = history.seconds()
    if not seconds.sum():
        return {}
    took = dict(zip(history.series[SPEED].xs.tolist(), seconds.tolist(), strict=True))
    beside = set(found["waiting"].xs.tolist()) if "waiting" in found else set()
    spent = {}
    for name, series in found.items():
        counted = took.keys() - (beside if name in _UPDATING else set())
        pairs = zip(series.xs.tolist(), series.ys.tolist(), strict=True)
        spent[name] = sum(share * took[x] for x, share in pairs if x in counted)
    spent = {name: value for name, value in spent.items() if value or name not in _UPDATING}
    total = sum(spent.values())
    return {name: value / total for name, value in spent.items()} if total else {}
