"""How likely one method scores higher than another: probability of improvement."""

import itertools

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.drawing import Drawing, table
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.matrices import score_matrices
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.statistics import improvement


def draw(collection, *, references=None, at=None, window=0.1, reps=2000, seed=0):
    """Draws P(X > Y) for pairs of methods with 95 % intervals.

    Args:
      collection: `Collection` of several methods. X are those of the runs and Y the others;
        without others, every method is compared with those behind it.
      references: Path of a file of reference scores; None: those known.
      at: Frames at which the scores are taken; None: at the end of each run.
      window: Share of these frames over which a run's points are averaged.
      reps: Resamples of the stratified bootstrap.
      seed: Decides them.

    Returns:
      `Drawing`; ½ means that neither is better.

    Raises:
      FigureError: If there is one method only.
    """
    if len(collection.methods) < 2:
        raise FigureError(
            f"only {collection.methods[0]} has learning curves; an improvement needs another "
            f"method, for example in --baselines"
        )
    scores, tasks, notes = score_matrices(collection, references=references, at=at, window=window)
    rest = [method for method in collection.methods if method not in collection.own]
    if rest:
        pairs = list(itertools.product(collection.own, rest))
    else:
        pairs = list(itertools.combinations(collection.methods, 2))
    found = improvement(scores, pairs, reps, seed)
    looks = styles(collection.methods, collection.algorithms)
    with canvas.style():
        figure, [axis] = canvas.row(1, 0.45 + 0.24 * len(pairs), width=3.6)
        for place, (first, second) in enumerate(pairs):
            value, low, high = found[first, second]
            axis.barh(
                place, high - low, 0.55, left=low, color=looks[first].color, alpha=0.75, linewidth=0
            )
            axis.vlines(value, place - 0.275, place + 0.275, color="black", linewidth=1.2)
            axis.text(
                1.02,
                place,
                looks[second].label,
                transform=axis.get_yaxis_transform(),
                va="center",
                fontsize=7,
            )
        axis.axvline(0.5, color="#888888", linewidth=0.8, linestyle=(0, (3, 2)))
        axis.set_yticks(range(len(pairs)), [looks[first].label for first, _ in pairs])
        axis.set_ylim(len(pairs) - 0.4, -0.6)
        axis.set_xlim(0, 1)
        axis.tick_params(axis="y", length=0)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("P(X > Y)")
        axis.set_title("X", loc="left", x=-0.08)
        axis.set_title("Y", loc="right", x=1.08)
    rows = [[looks[x].label, looks[y].label, *(f"{v:.3f}" for v in found[x, y])] for x, y in pairs]
    header = ["X", "Y", "P(X > Y)", "low", "high"]
    return Drawing(figure, f"{len(tasks)} tasks\n" + table(header, rows), tuple(notes))
