"""Performance profiles: which share of runs scores above a level, for every level."""

import numpy as np

from dreamer_tf.apps.figures import canvas
from dreamer_tf.apps.figures.drawing import Drawing
from dreamer_tf.apps.figures.matrices import score_matrices
from dreamer_tf.apps.figures.palette import styles
from dreamer_tf.apps.figures.statistics import profiles

_LEVELS = 101


def draw(collection, *, references=None, at=None, window=0.1, reps=2000, seed=0):
    """Draws the performance profile of every method with 95 % bands.

    Args:
      collection: `Collection`.
      references: Path of a file of reference scores; None: those known.
      at: Frames at which the scores are taken; None: at the end of each run.
      window: Share of these frames over which a run's points are averaged.
      reps: Resamples of the stratified bootstrap.
      seed: Decides them.

    Returns:
      `Drawing`, up to level 1, or to twice the median run if that is higher. The area below a
      curve, where scores are in [0, 1], is the mean score.
    """
    scores, tasks, notes = score_matrices(collection, references=references, at=at, window=window)
    runs = np.concatenate([values.ravel() for values in scores.values()])
    end = max(1.0, min(2 * float(np.median(runs)), float(runs.max())))
    levels = np.linspace(min(0.0, float(np.quantile(runs, 0.02))), end, _LEVELS)
    found = profiles(scores, levels, reps, seed)
    looks = styles(list(found), collection.algorithms)
    with canvas.style():
        handles = [canvas.line_handle(looks[method]) for method in found]
        figure, axis = canvas.single(3.3, 2.1, handles)
        for method, (share, low, high) in found.items():
            canvas.line(axis, levels, share, looks[method])
            axis.fill_between(levels, low, high, color=looks[method].color, alpha=0.18, lw=0)
        axis.set_xlim(levels[0], levels[-1])
        axis.set_ylim(0, 1.02)
        axis.set_xlabel("Normalised score τ")
        axis.set_ylabel("Share of runs with score > τ")
        canvas.legend(figure, handles)
    return Drawing(figure, f"{len(tasks)} tasks", tuple(notes))
