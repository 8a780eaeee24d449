"""Runs over a published band: where they are inside of it, above and below."""

import dataclasses

import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.aggregation import BINS, Seeds, in_bins, meet
from dreamer_tf.apps.figures.drawing import Drawing, table
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import suite, title

_HEADER = ("task", "run", "inside", "above", "below", "in ± std")


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Runs and a band at the same frames.

    Attributes:
      runs: `Seeds` of the runs; NaN where a run has no episode since the point before, or had
        ended.
      band: `Seeds` of what was published.
    """

    runs: Seeds
    band: Seeds

    def where(self, ys):
        """Flags ``[N]`` of a run's scores ``[N]``: inside, above, below, and near the mean.

        Inside is between the lowest and the highest published seed, both included; near the mean
        at most one standard deviation away from it.
        """
        known = np.isfinite(ys)
        above, below = known & (ys > self.band.high), known & (ys < self.band.low)
        near = known & (np.abs(ys - self.band.mean) <= self.band.std)
        return known & ~above & ~below, above, below, near


def compare(runs, published, bins=BINS):
    """Brings runs to the frames at which something was published.

    A run's score at a published point is the mean of its episodes since the point before. Where
    there is none it has no score: what lies between its neighbours is nothing that it has reached.
    Points behind the run's end are left out, for the mean over a part would stand for the whole.

    Args:
      runs: List of `Curve` of a method on a task.
      published: List of `Curve` of one published method on the same task.
      bins: Bins of published curves whose seeds share no grid.

    Returns:
      `Comparison`, up to the end of the longest run.

    Raises:
      FigureError: If every run ends before the first published point.
    """
    band = meet(published, bins).majority()
    reached = band.xs <= max(curve.end for curve in runs)
    if not reached.any():
        raise FigureError(
            f"{runs[0].method} on {runs[0].task} ends at {max(c.end for c in runs):,.0f} frames, "
            f"before the first of {published[0].method}, {band.xs[0]:,.0f}"
        )
    band = Seeds(band.xs[reached], band.ys[:, reached])
    ours = in_bins(runs, np.array([0.0, *band.xs]), through=False)
    ended = [ours.xs > curve.end for curve in runs]
    return Comparison(Seeds(ours.xs, np.where(ended, np.nan, ours.ys)), band)


def draw(collection, *, bins=BINS, until=None, columns=None):
    """Draws a panel for each task: every run as a line over each published band.

    A band is the mean of the published seeds (dashed), one standard deviation to both sides (dark)
    and the range from the lowest to the highest seed (light).

    Args:
      collection: `Collection` whose other curves are what was published.
      bins: Bins of published curves whose seeds share no grid.
      until: Frames at which the panels end; None: where the longest of the runs ends.
      columns: Panels in a row; None: as many as fit.

    Returns:
      `Drawing`, with a table of where each run is inside, above and below.

    Raises:
      FigureError: If a task has nothing published.
    """
    methods = sorted({curve.method for curve in collection.others}, key=collection.methods.index)
    looks = styles([*collection.own, *methods])
    rows = []
    with canvas.style():
        handles = [canvas.line_handle(looks[name]) for name in [*collection.own, *methods]]
        figure, axes = canvas.grid(len(collection.tasks), handles, columns=columns)
        for axis, task in zip(axes, collection.tasks, strict=False):
            bands = {name: found for name in methods if (found := collection.of(task, name))}
            if not bands:
                raise FigureError(
                    f"--baselines has no curve of {task}: give a score file that holds it, or "
                    "choose others by --tasks"
                )
            end = until or max(curve.end for curve in collection.runs if curve.task == task)
            for name, published in bands.items():
                _band(axis, meet(published, bins).majority().until(end), looks[name])
            for own in collection.own:
                runs = collection.of(task, own)
                for name, published in bands.items() if runs else ():
                    compared = compare(runs, published, bins)
                    rows += _rows(task, own, name if len(bands) > 1 else "", runs, compared)
                    _runs(axis, compared.runs, looks[own], end)
            axis.set_title(title(task))
            canvas.frames_axis(axis, end)
            if suite(task) == "dmc":
                axis.set_ylim(0, canvas.CONTROL_END)
        figure.supxlabel(collection.x_label, fontsize=8)
        figure.supylabel("Return", fontsize=8)
        canvas.legend(figure, handles)
    return Drawing(figure, table(_HEADER, rows))


def _band(axis, seeds, look):
    mean, std = seeds.mean, seeds.std
    axis.fill_between(seeds.xs, seeds.low, seeds.high, color=look.color, alpha=0.12, lw=0)
    axis.fill_between(seeds.xs, mean - std, mean + std, color=look.color, alpha=0.25, lw=0)
    axis.plot(seeds.xs, mean, color=look.color, linestyle="--", lw=1.0)


def _runs(axis, seeds, look, end):
    """Lines through the points that the runs have, each and their mean."""
    if len(seeds.ys) > 1:
        for ys in seeds.ys:
            axis.plot(*_through(seeds.xs, ys, end), color=look.color, lw=0.5, alpha=0.6)
    canvas.line(axis, *_through(seeds.xs, seeds.mean, end), look)


def _through(xs, ys, end):
    known = np.isfinite(ys)
    line = Seeds(xs[known], ys[None, known]).until(end)
    return line.xs, line.ys[0]


def _rows(task, method, band, runs, compared):
    """Rows of the table: each run, and their mean where there are several."""
    named = [
        (f"{method} {curve.seed}", ys) for curve, ys in zip(runs, compared.runs.ys, strict=True)
    ]
    if len(runs) > 1:
        named.append((f"{method}, mean", compared.runs.mean))
    for name, ys in named:
        *flags, near = compared.where(ys)
        cells = [_stretches(compared.band.xs, flag) for flag in flags]
        against = f" ({band})" if band else ""
        share = f"{near.sum()} of {np.isfinite(ys).sum()}"
        yield (title(task), name + against, *cells, share)


def _stretches(xs, flags):
    """Frames where a flag is set, neighbouring points joined: ``10K-40K, 60K``."""
    found, begin = [], None
    for i, flag in enumerate([*flags, False]):
        if flag and begin is None:
            begin = i
        elif not flag and begin is not None:
            first, last = (canvas.short_number(xs[j]) for j in (begin, i - 1))
            found.append(first if begin == i - 1 else f"{first}-{last}")
            begin = None
    return ", ".join(found) or "–"
