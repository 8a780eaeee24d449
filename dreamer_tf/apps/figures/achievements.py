"""Crafter's success rates: in how many of its episodes a run unlocked each achievement."""

import numpy as np

from dreamer_tf.apps.figures import bars, canvas
from dreamer_tf.apps.figures.drawing import Drawing
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.run_folders import ACHIEVEMENTS, metric_lines
from dreamer_tf.apps.figures.tasks import title

_ONE = "train/log_achievement_"
_SCORE = "Score"


def draw(collection, *, at=None, window=1.0):
    """Draws the success rates of the achievements and the score, in percent.

    Args:
      collection: `Collection` of run folders on one task.
      at: Frames up to which episodes count; None: the end of each run.
      window: Share of these frames, at their end, in which an episode ends that counts; the
        benchmark counts all.

    Returns:
      `Drawing`; a bar is the mean over the seeds, its whisker one standard deviation.

    Raises:
      FigureError: If there are several tasks, or a run has no episode there.

    Reference: arXiv:2109.06780.
    """
    if len(collection.tasks) > 1:
        raise FigureError(f"one task at a time: choose by --tasks {' or '.join(collection.tasks)}")
    notes, groups, methods = [], {}, collection.own
    for method in methods:
        seeds = [
            _rates(curve, at, window, notes) for curve in collection.of(*collection.tasks, method)
        ]
        for name in sorted({name for rates in seeds for name in rates}):
            rates = np.array([rates.get(name, 0.0) for rates in seeds])
            groups.setdefault(title(name), {})[method] = rates
        groups.setdefault(_SCORE, {})[method] = np.array([score(list(r.values())) for r in seeds])
    groups = {name: groups[name] for name in [*sorted(groups.keys() - {_SCORE}), _SCORE]}
    looks = styles(methods, collection.algorithms)
    with canvas.style():
        figure = bars.draw_groups(groups, methods, looks, label="Success rate (%)", apart=_SCORE)
        _rare_and_common(figure.axes[0], groups)
    text = bars.groups_table("Success rate (%)", groups, methods, looks, digits=1)
    return Drawing(figure, text, tuple(notes))


def _rare_and_common(axis, groups):
    """A vertical axis in powers of ten, on which what was seen once in all episodes is seen."""
    means = [values.mean() for group in groups.values() for values in group.values()]
    least = min((mean for mean in means if mean > 0), default=1.0)
    axis.set_yscale("log")
    axis.set_ylim(10.0 ** np.floor(np.log10(min(least / 2, 1.0))), 100)
    axis.yaxis.set_major_formatter("{x:g}")


def score(rates):
    """The benchmark's score of success rates, all in percent.

    The geometric mean, shifted by one so that a rate of 0 counts: ``exp(mean(ln(1 + s))) - 1``.
    From 0 to 1 percent counts as much as from 49 to 99.

    Args:
      rates: Success rates of all achievements, in percent.
    """
    return float(np.expm1(np.mean(np.log1p(rates))))


def _rates(curve, at, window, notes):
    """Dict of achievement to the share of a run's episodes that unlocked it, in percent."""
    end = curve.end if at is None else at
    episodes = [
        metrics
        for frames, metrics in metric_lines(curve.source, ACHIEVEMENTS)
        if (1 - window) * end < frames <= end
    ]
    if not episodes:
        raise FigureError(
            f"{curve.source} has no episode that ended between {(1 - window) * end:,.0f} and "
            f"{end:,.0f} frames; its last ended at {curve.end:,.0f}"
        )
    notes.append(f"{curve.method}, seed {curve.seed}: {len(episodes):,} episodes")
    names = [key for key in episodes[0] if key.startswith(_ONE)]
    return {
        key.removeprefix(_ONE): 100 * np.mean([metrics[key] > 0 for metrics in episodes])
        for key in names
    }
