"""Aggregates over tasks and seeds with intervals: IQM, median, mean and optimality gap."""

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.drawing import Drawing, table
from dreamer_tf.apps.figures.matrices import score_matrices
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.statistics import AGGREGATES, intervals


def draw(collection, *, references=None, at=None, window=0.1, reps=2000, seed=0):
    """Draws four aggregates of every method with 95 % intervals.

    Args:
      collection: `Collection`.
      references: Path of a file of reference scores; None: those known.
      at: Frames at which the scores are taken; None: at the end of each run.
      window: Share of these frames over which a run's points are averaged.
      reps: Resamples of the stratified bootstrap.
      seed: Decides them.

    Returns:
      `Drawing`; for the first three more is better, for the gap less.
    """
    scores, tasks, notes = score_matrices(collection, references=references, at=at, window=window)
    found = intervals(scores, reps, seed)
    looks = styles(list(found), collection.algorithms)
    with canvas.style():
        figure, axes = canvas.row(len(AGGREGATES), 0.45 + 0.22 * len(found))
        for i, (axis, name) in enumerate(zip(axes, AGGREGATES, strict=True)):
            for place, method in enumerate(found):
                _interval(axis, place, found[method][:, i], looks[method])
            axis.use_sticky_edges = False  # room beside the outermost intervals
            axis.margins(x=0.08)
            axis.set_ylim(len(found) - 0.4, -0.6)
            axis.set_yticks(range(len(found)), [looks[method].label for method in found])
            axis.tick_params(axis="y", length=0, labelleft=i == 0)
            axis.grid(visible=False, axis="y")
            axis.set_title(name)
        figure.supxlabel("Normalised score", fontsize=8)
    rows = [
        [looks[method].label, *(f"{v:.3f} [{a:.3f}, {b:.3f}]" for v, a, b in values.T)]
        for method, values in found.items()
    ]
    seeds = ", ".join(f"{looks[m].label} {len(scores[m])}" for m in scores)
    text = f"{len(tasks)} tasks; seeds: {seeds}\n" + table(["Method", *AGGREGATES], rows)
    return Drawing(figure, text, tuple(notes))


def _interval(axis, place, values, look):
    estimate, low, high = values
    axis.barh(place, high - low, 0.55, left=low, color=look.color, alpha=0.75, linewidth=0)
    axis.vlines(estimate, place - 0.275, place + 0.275, color="black", linewidth=1.2)
