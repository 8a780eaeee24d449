"""From the curves of several seeds to one curve with a spread, and to final scores.

Curves are recorded at points of their own: evaluations every so many frames, or the ends of
training episodes. To be averaged they must meet at common points:

- Curves that share a grid, such as evaluations every 10,000 frames, meet at its points.
- Others are cut into bins (a, b] of equal width. A bin's value is the mean of the points in it and
  stands at b. A bin between others that has no point lies on the line between its neighbours.
  Before its first and behind its last point a curve has no value.

What a panel shows ends where the panel does, and all that is in it has the same bins: a bin as wide
as a longer curve would have it stands far behind its points beside a shorter one.
"""

import dataclasses
import math

import numpy as np
from scipy import stats

from dreamer_tf.apps.figures.errors import FigureError

BINS = 100
"""Bins of a curve, unless the user asks for another number."""


@dataclasses.dataclass(frozen=True, eq=False)
class Seeds:
    """The curves of one method on one task at common points.

    Attributes:
      xs: Environment frames, ``[N]``.
      ys: Scores, ``[S, N]``; NaN where a seed has none.
    """

    xs: np.ndarray
    ys: np.ndarray

    @property
    def shared(self):
        """Flags ``[N]`` of the points that at least half of the seeds have."""
        return np.isfinite(self.ys).sum(axis=0) >= _half(len(self.ys))

    def majority(self):
        """Only the points that at least half of the seeds have.

        Otherwise the mean would jump where seeds end, and its end be that of a single seed.
        """
        return Seeds(self.xs[self.shared], self.ys[:, self.shared])

    def until(self, end):
        """Only the points up to ``end`` frames; what goes on is cut there, on a straight line.

        What begins later has none.
        """
        if not len(self.xs) or self.xs[-1] <= end:
            return self
        if self.xs[0] >= end:
            keep = self.xs <= end
            return Seeds(self.xs[keep], self.ys[:, keep])
        xs = np.append(self.xs[self.xs < end], end)
        return Seeds(xs, np.stack([np.interp(xs, self.xs, row) for row in self.ys]))

    @property
    def mean(self):
        """Mean over the seeds, ``[N]``."""
        return mean_of_present(self.ys)

    @property
    def std(self):
        """Standard deviation over the seeds, divided by their number, ``[N]``."""
        return np.sqrt(mean_of_present((self.ys - self.mean) ** 2))

    @property
    def interval(self):
        """Half the width of the mean's 95 % confidence interval, by Student's t, ``[N]``.

        NaN where fewer than two seeds have a value: one says nothing about the others.
        """
        count = np.isfinite(self.ys).sum(axis=0)
        free = np.where(count > 1, count - 1, np.nan)
        return stats.t.ppf(0.975, free) * self.std / np.sqrt(free)

    @property
    def low(self):
        """The lowest seed, ``[N]``."""
        return np.fmin.reduce(self.ys)

    @property
    def high(self):
        """The highest seed, ``[N]``."""
        return np.fmax.reduce(self.ys)

    def around(self, spread):
        """Lower and upper end of what is drawn around the mean, ``[N]`` each.

        Args:
          spread: ``std``, one standard deviation to both sides; ``interval``, the 95 % confidence
            interval of the mean; ``range``, from the lowest to the highest seed.
        """
        if spread == "range":
            return self.low, self.high
        half = {"std": self.std, "interval": self.interval}[spread]
        return self.mean - half, self.mean + half


def mean_of_present(values):
    """Mean over the first axis of what is not NaN; NaN where nothing is."""
    present = np.isfinite(values)
    count = present.sum(axis=0)
    total = np.where(present, values, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _half(seeds):
    return max(1, math.ceil(seeds / 2))


def line_begin(curves):
    """Frames from which at least half of the seeds have a value."""
    return sorted(curve.xs[0] for curve in curves)[_half(len(curves)) - 1]


def line_end(curves):
    """Frames that at least half of the seeds reach, where their line ends."""
    return sorted((curve.end for curve in curves), reverse=True)[_half(len(curves)) - 1]


def last_end(curves):
    """Frames that the longest of the seeds reaches."""
    return max(curve.end for curve in curves)


def meet(curves, bins=BINS, end=None):
    """Brings the curves of one method on one task to common points.

    Args:
      curves: List of `Curve`.
      bins: Number of bins, if the curves have no common grid of at most as many points.
      end: Frames at which what is shown ends; None: where the longest curve does.

    Returns:
      `Seeds` up to ``end``.
    """
    end = last_end(curves) if end is None else end
    points = np.unique(np.concatenate([curve.xs for curve in curves]))
    count = np.searchsorted(points, end, side="right")
    if count > bins:
        return in_panel(curves, end, bins)
    points = points[: count + 1]  # And the next one, towards which a line is cut at the end.
    return Seeds(points, np.stack([_at(curve, points) for curve in curves])).until(end)


def in_panel(curves, end, bins=BINS):
    """The curves averaged in the bins of a panel that goes from 0 to ``end`` frames.

    A curve that goes on behind the panel and has no point in its last bin has there what lies at
    its end on a straight line.

    Args:
      curves: List of `Curve`.
      end: Frames.
      bins: Number of bins.

    Returns:
      `Seeds` at the upper borders.
    """
    borders = np.linspace(0, end, bins + 1)
    return in_bins([_cut(curve, *borders[-2:]) for curve in curves], borders)


def _cut(curve, begin, end):
    """The curve, with a point at ``end`` if it goes on there but has none from ``begin`` on."""
    before, until = np.searchsorted(curve.xs, [begin, end], side="right")
    if before < until or not 0 < until < len(curve.xs):
        return curve
    score = np.interp(end, curve.xs, curve.ys)
    xs, ys = np.insert(curve.xs, until, end), np.insert(curve.ys, until, score)
    return dataclasses.replace(curve, xs=xs, ys=ys)


def over_tasks(tasks, end, bins=BINS, *, majority=True):
    """Means over the seeds of a method on several tasks, at the frames that it has on all.

    Args:
      tasks: List of the curves on each of ``T`` tasks, lists of `Curve`.
      end: Frames at which what is shown ends.
      bins: Bins from 0 to ``end``.
      majority: Whether a task has those frames alone that at least half of its seeds have; else
        all that one has.

    Returns:
      Frames ``[N]`` and means ``[T, N]``.
    """
    found = [in_panel(curves, end, bins) for curves in tasks]
    has = [seeds.shared if majority else np.isfinite(seeds.mean) for seeds in found]
    whole = np.all(has, axis=0)
    return found[0].xs[whole], np.stack([seeds.mean[whole] for seeds in found])


def in_bins(curves, borders, *, through=True):
    """The curves averaged in bins.

    Args:
      curves: List of `Curve`.
      borders: Rising borders of the bins, ``[N + 1]``.
      through: Whether a bin without a point lies between its neighbours; else it has no value.

    Returns:
      `Seeds` at the upper borders.
    """
    return Seeds(borders[1:], np.stack([_binned(curve, borders, through) for curve in curves]))


def _at(curve, points):
    """The curve at given points, on straight lines between its own; NaN outside of them."""
    return np.interp(points, curve.xs, curve.ys, left=np.nan, right=np.nan)


def _binned(curve, borders, through):
    count = len(borders) - 1
    index = np.searchsorted(borders, curve.xs, side="left") - 1
    index[curve.xs == borders[0]] = 0
    inside = (index >= 0) & (index < count)
    number = np.bincount(index[inside], minlength=count)
    total = np.bincount(index[inside], weights=curve.ys[inside], minlength=count)
    filled = np.flatnonzero(number)
    means = total[filled] / number[filled]
    if not through or not len(filled):
        values = np.full(count, np.nan)
        values[filled] = means
        return values
    return np.interp(np.arange(count), filled, means, left=np.nan, right=np.nan)


def final_scores(curves, at=None, window=0.1):
    """The final scores of the seeds of one method on one task.

    A score is the mean of the points in ((1 − window) · at, at]. Seeds without a point there, those
    that ended early, are left out.

    Args:
      curves: List of `Curve`.
      at: Frames at which the scores are taken; None: where the longest of the curves ends.
      window: Share of these frames over which points are averaged.

    Returns:
      Scores, ``[S]``.

    Raises:
      FigureError: If no seed comes that far.
    """
    at = max(curve.end for curve in curves) if at is None else at
    scores = []
    for curve in curves:
        inside = (curve.xs > (1 - window) * at) & (curve.xs <= at)
        if inside.any():
            scores.append(curve.ys[inside].mean())
    if not scores:
        longest = max(curves, key=lambda curve: curve.end)
        raise FigureError(
            f"{longest.method} on {longest.task} has no score between {(1 - window) * at:,.0f} and "
            f"{at:,.0f} frames; its curves end at {longest.end:,.0f}"
        )
    return np.array(scores)
