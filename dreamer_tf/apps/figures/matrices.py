"""Normalised final scores of several methods as matrices of seeds and tasks."""

import numpy as np

from dreamer_tf.apps.figures.drawing import common_tasks, finals
from dreamer_tf.apps.figures.references import References


def score_matrices(collection, *, references=None, at=None, window=0.1):
    """Normalised final scores of every method with learning curves.

    A matrix has the same number of seeds for every task. Where a method has more on some tasks,
    the last ones are left out, and a note says so.

    Args:
      collection: `Collection`.
      references: Path of a file of reference scores, see `References`; None: those known.
      at: Frames at which the scores are taken; None: at the end of each run.
      window: Share of these frames over which a run's points are averaged.

    Returns:
      Dict of method to ``[S, K]``; the ``K`` tasks, those that all methods have; list of notes.

    Raises:
      FigureError: If a task has no reference scores, or no task has curves of all methods.
    """
    notes = []
    known = References(references)
    tasks = common_tasks(collection, collection.methods, notes)
    matrices = {}
    for method in collection.methods:
        columns = [
            known.normalised(task, finals(collection.of(task, method), at, window, notes))
            for task in tasks
        ]
        seeds = min(map(len, columns))
        extra = sum(len(column) - seeds for column in columns)
        if extra:
            notes.append(
                f"{method}: {seeds} seeds on each task, as many as all tasks have; {extra} further "
                f"runs are left out"
            )
        matrices[method] = np.stack([column[:seeds] for column in columns], axis=1)
    return matrices, tasks, notes
