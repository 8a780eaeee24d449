"""Final scores as bars: a group for each task, a bar for each method."""

import collections

import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.drawing import Drawing, finals, mean_and_spread, named, table
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.tasks import suite, title

_MEAN = "Mean"
_GROUP = 0.82  # share of a group's place that its bars take


def draw(collection, *, at=None, window=0.1):
    """Draws final scores beside those of the baselines, and their means.

    Args:
      collection: `Collection`.
      at: Frames at which the scores of runs are taken; None: at the end of each.
      window: Share of these frames over which a run's points are averaged.

    Returns:
      `Drawing`; a bar is the mean over the seeds, its whisker one standard deviation. If the
      returns have one scale, the last group is the mean over tasks.

    Raises:
      FigureError: If a run does not come as far as ``at``.
    """
    methods = list(dict.fromkeys([*collection.methods, *collection.baselines]))
    notes = []
    scores = {}
    for task in collection.tasks:
        found = {m: _scores(collection, task, m, at, window, notes) for m in methods}
        scores[task] = {method: values for method, values in found.items() if len(values)}
    groups = dict(scores)
    one_scale = {suite(task) for task in scores} == {"dmc"}
    if one_scale:
        groups |= _mean(scores, methods, notes)
    names = _names(scores)
    looks = styles(methods, collection.algorithms)
    with canvas.style():
        figure = draw_groups(groups, methods, looks, label="Return", apart=_MEAN, names=names)
        if one_scale:
            figure.axes[0].set_ylim(top=canvas.CONTROL_END)
    text = groups_table("Final return", groups, methods, looks, names=names)
    return Drawing(figure, text, tuple(notes))


def _names(tasks):
    """Dict of task to what is written below its bars: its title, unless another has the same."""
    titles = collections.Counter(map(title, tasks))
    return {task: title(task) if titles[title(task)] == 1 else task for task in tasks}


def _scores(collection, task, method, at, window, notes):
    """Final scores of the seeds, ``[S]``; of a baseline its one; empty if there is none."""
    curves = collection.of(task, method)
    if curves:
        return finals(curves, at, window, notes)
    score = collection.final(task, method)
    return np.array([] if score is None else [score])


def _mean(scores, methods, notes):
    """The means over tasks, of those methods that have a score on at least half of them."""
    wide = [m for m in methods if 2 * sum(m in values for values in scores.values()) >= len(scores)]
    shared = [task for task, values in scores.items() if all(m in values for m in wide)]
    if len(shared) < 2:
        return {}
    left = [task for task in scores if task not in shared]
    if left:
        notes.append(f"the mean is over {len(shared)} tasks, without {named(left)}")
    means = {m: np.mean([scores[task][m].mean() for task in shared], keepdims=True) for m in wide}
    return {_MEAN: means}


def draw_groups(groups, methods, looks, *, label, apart="", names=None):
    """Draws groups of bars; a bar is the mean over the seeds, its whisker their deviation.

    Args:
      groups: Dict of group to a dict of method to values ``[S]``.
      methods: The methods, in the order of their bars.
      looks: Dict of method to `Style`.
      label: Name of the vertical axis.
      apart: The last group where a line keeps it apart from the others.
      names: Dict of group to what is written below it, where that is not the group itself.

    Returns:
      Figure of matplotlib.
    """
    handles = [canvas.bar_handle(looks[method]) for method in methods]
    bars = len(groups) * (len(methods) + 1)
    width = min(canvas.PAGE_WIDTH, max(3.4, 0.16 * bars + 0.6))
    figure, axis = canvas.single(width, 2.0, handles)
    size = _GROUP / len(methods)
    for place, group in enumerate(groups.values()):
        shown = [method for method in methods if method in group]
        for i, method in enumerate(shown):
            x = place + (i - (len(shown) - 1) / 2) * size
            _bar(axis, x, group[method], size, looks[method])
    if apart in groups:
        axis.axvline(len(groups) - 1.5, color="#888888", linewidth=0.6)
    labels = [(names or {}).get(group, group) for group in groups]
    fits = all(canvas.text_width(text) < (width - 0.6) / len(groups) for text in labels)
    slant = {} if fits else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    axis.set_xticks(range(len(groups)), labels, **slant)
    axis.set_xlim(-0.6, len(groups) - 0.4)
    axis.tick_params(axis="x", length=0)
    axis.grid(visible=False, axis="x")
    axis.set_ylabel(label)
    canvas.legend(figure, handles)
    return figure


def _bar(axis, x, scores, width, look):
    axis.bar(
        x,
        scores.mean(),
        width,
        color=look.color,
        hatch=look.hatch,
        edgecolor="white",
        label=look.label,
    )
    if len(scores) > 1:
        axis.errorbar(
            x,
            scores.mean(),
            scores.std(),
            fmt="none",
            ecolor="#444444",
            elinewidth=0.8,
            capsize=1.2,
        )


def groups_table(name, groups, methods, looks, digits=0, names=None):
    """The bars as text, a row for each group; ``name`` heads the first column."""
    names = names or {}
    rows = [
        [
            names.get(group, group),
            *(mean_and_spread(values.get(method, ()), digits) for method in methods),
        ]
        for group, values in groups.items()
    ]
    return table([name, *(looks[method].label for method in methods)], rows)
