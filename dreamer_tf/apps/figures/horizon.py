"""A sweep over an option, such as the imagination horizon: final scores over its values."""

import numbers

import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.aggregation import Seeds
from dreamer_tf.apps.figures.collection import setting
from dreamer_tf.apps.figures.drawing import Drawing, ends_apart, finals, mean_and_spread, table
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import suite, title

HORIZON = "dreamer.imag_horizon"
_TICKS = 8  # values that are all named on the axis
_NAMES = {"imag_horizon": "Imagination horizon", "action_repeat": "Action repeat"}


def draw(collection, *, option=HORIZON, at=None, window=0.1, spread="std", columns=None):
    """Draws final scores over the values of an option.

    Args:
      collection: `Collection` of run folders; runs that differ in nothing but the option and the
        seed belong to one line.
      option: Dotted key of a number among the runs' options.
      at: Frames at which the scores are taken; None: at the end of each run.
      window: Share of these frames over which a run's points are averaged.
      spread: What is shaded, as in `learning_curves.draw`; with ``seeds`` each is a point.
      columns: Panels in a row; None: as many as fit.

    Returns:
      `Drawing`: a panel for each task, points are means over the seeds; a table of mean ± standard
      deviation.

    Raises:
      FigureError: If a run does not tell the option, it is no number, or it has one value only.
    """
    values = sorted({_value(curve, option) for curve in collection.runs})
    if len(values) < 2:
        raise FigureError(f"all runs have {option} = {values[0]:g}; a sweep needs several values")
    methods, baselines = collection.own, collection.baselines
    looks = styles([*methods, *baselines], collection.algorithms)
    one_scale = {suite(task) for task in collection.tasks} == {"dmc"}
    rows, notes = [], list(ends_apart(collection, option) if at is None else ())
    with canvas.style():
        handles = [canvas.line_handle(looks[method]) for method in methods]
        handles += [canvas.level_handle(looks[method]) for method in baselines]
        figure, axes = canvas.grid(
            len(collection.tasks), handles, columns=columns, share_y=one_scale
        )
        for axis, task in zip(axes, collection.tasks, strict=True):
            for method in methods:
                points = _points(collection.of(task, method), option, at, window, notes)
                if points:
                    _line(axis, points, looks[method], spread)
                cells = [mean_and_spread(points.get(value, ())) for value in values]
                rows.append([title(task), looks[method].label, *cells])
            for method in baselines:
                score = collection.final(task, method)
                if score is not None:
                    canvas.level(axis, score, looks[method])
            axis.set_title(title(task))
            if len(values) <= _TICKS:
                axis.set_xticks(values)
        if one_scale:
            axes[0].set_ylim(0, canvas.CONTROL_END)
        name = _NAMES.get(option.rpartition(".")[2], option)
        figure.supxlabel(name, fontsize=8)
        figure.supylabel("Final return", fontsize=8)
        canvas.legend(figure, handles)
    return Drawing(
        figure, table(["Task", "Method", *(f"{v:g}" for v in values)], rows), tuple(notes)
    )


def _value(curve, option):
    value = setting(curve, option)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise FigureError(
            f"{option} is {value!r} in {curve.source}; a sweep is over a number. To compare other "
            f"values use --figure curves --group_by {option}"
        )
    return value


def _points(curves, option, at, window, notes):
    """Dict of the option's value to final scores of the seeds, rising."""
    by_value = {}
    for curve in curves:
        by_value.setdefault(_value(curve, option), []).append(curve)
    return {value: finals(by_value[value], at, window, notes) for value in sorted(by_value)}


def _line(axis, points, look, spread):
    ys = np.full((max(map(len, points.values())), len(points)), np.nan)
    for i, scores in enumerate(points.values()):
        ys[: len(scores), i] = scores
    seeds = Seeds(np.array(list(points)), ys)
    if spread == "seeds":  # no lines: a row is not one seed where others have ended early
        axis.plot(seeds.xs, ys.T, ".", color=look.color, markeredgewidth=0, alpha=0.5)
        spread = "none"
    canvas.mean_line(axis, seeds, look, spread)
