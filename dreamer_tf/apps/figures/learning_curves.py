"""Learning curves: a panel for each task, a line for each method, mean and spread over seeds."""

import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.aggregation import BINS, Seeds, line_begin, meet, over_tasks
from dreamer_tf.apps.figures.drawing import Drawing, common_tasks, panel_ends
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import suite, title

_SUMMARIES = {"mean": np.mean, "median": np.median}


def draw(collection, *, bins=BINS, spread="std", until=None, summary=False, columns=None):
    """Draws learning curves.

    Lines end where fewer than half of the seeds go on. Baselines that have only a final score are
    horizontal lines. All lines of a panel have the same bins, which end with it.

    Args:
      collection: `Collection`.
      bins: Bins of curves whose seeds share no grid.
      spread: What is shaded: ``std``, one standard deviation to both sides; ``interval``, the 95 %
        confidence interval of the mean; ``range``, from the lowest to the highest seed; ``seeds``,
        nothing, but every seed as a thin line; ``none``.
      until: Frames at which the panels end; None: where the longest of the runs ends, however far
        the baselines go.
      summary: Whether two more panels show mean and median over the tasks.
      columns: Panels in a row; None: as many as fit.

    Returns:
      `Drawing`.

    Raises:
      FigureError: If a summary is asked for and the tasks' returns have no common scale.
    """
    tasks, methods = collection.tasks, [*collection.methods, *collection.baselines]
    looks = styles(methods, collection.algorithms)
    one_scale = {suite(task) for task in tasks} == {"dmc"}
    notes = []
    with canvas.style():
        handles = _handles(collection, looks)
        count = len(tasks) + (len(_SUMMARIES) if summary else 0)
        figure, axes = canvas.grid(count, handles, columns=columns, share_y=one_scale)
        for axis, task in zip(axes, tasks, strict=False):
            end, last = panel_ends(collection, [task], until)
            lines = _lines(collection, task, last, bins, notes)
            _panel(axis, lines, looks, spread, end)
            _levels(axis, collection, [task], looks, np.mean)
            axis.set_title(title(task))
        if summary:
            if not one_scale:
                raise FigureError(
                    "--summary averages returns, which needs tasks of one scale (dmc_*); for Atari "
                    "there is --figure atari, for any runs --figure iqm"
                )
            shared = common_tasks(collection, collection.methods, notes)
            end, last = panel_ends(collection, shared, until)
            means = _means(collection, shared, last, bins, notes)
            for axis, (name, reduce) in zip(axes[len(tasks) :], _SUMMARIES.items(), strict=True):
                lines = {m: Seeds(xs, reduce(ys, axis=0)[None]) for m, (xs, ys) in means.items()}
                _panel(axis, lines, looks, "none", end)
                _levels(axis, collection, shared, looks, reduce)
                axis.set_title(f"Task {name}", fontweight="bold")
        if one_scale:
            axes[0].set_ylim(0, canvas.CONTROL_END)
            axes[0].set_yticks([0, 500, 1000])
        figure.supxlabel(collection.x_label, fontsize=8)
        figure.supylabel("Return", fontsize=8)
        canvas.legend(figure, handles)
    return Drawing(figure, notes=tuple(notes))


def _lines(collection, task, last, bins, notes):
    """`Seeds` of each method that has a point on a task up to ``last`` frames."""
    found = {method: collection.of(task, method) for method in collection.methods}
    lines = {m: meet(curves, bins, last).majority() for m, curves in found.items() if curves}
    for method, seeds in lines.items():
        if not len(seeds.xs):
            notes.append(
                f"left out: {method} on {title(task)} has no point up to {last:,.0f} frames; it "
                f"begins at {line_begin(found[method]):,.0f}"
            )
    return {method: seeds for method, seeds in lines.items() if len(seeds.xs)}


def _panel(axis, lines, looks, spread, end):
    for method, seeds in lines.items():
        canvas.mean_line(axis, seeds, looks[method], spread)
    canvas.frames_axis(axis, end)


def _levels(axis, collection, tasks, looks, reduce):
    """The final scores of those baselines that have one on each of the tasks."""
    for method in collection.baselines:
        scores = [collection.final(task, method) for task in tasks]
        if None not in scores:
            canvas.level(axis, reduce(scores), looks[method])


def _means(collection, tasks, last, bins, notes):
    """Frames and means over the seeds on each task, of each method that has points on all."""
    means = {}
    for method in collection.methods:
        xs, ys = over_tasks([collection.of(task, method) for task in tasks], last, bins)
        if len(xs):
            means[method] = xs, ys
        else:
            notes.append(f"no task mean of {method}: no frames up to {last:,.0f} on all tasks")
    return means


def _handles(collection, looks):
    lines = [canvas.line_handle(looks[method]) for method in collection.methods]
    return lines + [canvas.level_handle(looks[method]) for method in collection.baselines]
