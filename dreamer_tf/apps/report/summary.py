"""The few numbers of a run that a reader wants first."""

import dataclasses

import numpy as np

from dreamer_tf.apps.report.curves import EVALUATION, TRAINING
from dreamer_tf.apps.report.metrics_file import SPEED

FRAMES, UPDATES = "frames", "updates"

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


def unit(env_frames, agent_steps):
    """What a run counts as its env_frames: ``frames``, or ``updates`` as long as nothing acted.

    A run that learns from recorded episodes counts its updates there, see `training.offline`.
    """
    return UPDATES if env_frames and not agent_steps else FRAMES


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
