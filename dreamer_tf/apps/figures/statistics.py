"""Reliable statistics over tasks and seeds, by the ``rliable`` library.

Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice", 2021
(arXiv:2108.13264): aggregates with intervals from a stratified bootstrap, which draws seeds anew
for each task. Scores are matrices ``[S, K]`` of S seeds on K tasks, normalised.
"""

import contextlib

import numpy as np
from rliable import library, metrics

AGGREGATES = ("IQM", "Median", "Mean", "Optimality gap")
_REPS = 2000


def intervals(scores, reps=_REPS, seed=0):
    """Aggregates of several methods with intervals.

    Args:
      scores: Dict of method to normalised scores ``[S, K]``.
      reps: Resamples of the bootstrap.
      seed: Decides them.

    Returns:
      Dict of method to array ``[3, 4]``: estimate, lower and upper end of the 95 % interval, of
      each of `AGGREGATES`: interquartile mean of all runs, median and mean over the tasks of the
      mean over the seeds, and 1 − mean(min(score, 1)).
    """
    return _bootstrap(scores, _aggregate, reps, seed)


def profiles(scores, levels, reps=_REPS, seed=0):
    """Performance profiles: the share of runs whose score is above a level.

    Args:
      scores: Dict of method to normalised scores ``[S, K]``.
      levels: ``[N]``.
      reps: Resamples of the bootstrap.
      seed: Decides them.

    Returns:
      Dict of method to array ``[3, N]``: share, lower and upper end of the 95 % interval.
    """

    def profile(values):
        return np.mean(values[..., None] > levels, axis=(0, 1))

    return _bootstrap(scores, profile, reps, seed)


def improvement(scores, pairs, reps=_REPS, seed=0):
    """How likely a run of one method scores higher than one of another on the same task.

    Args:
      scores: Dict of method to normalised scores ``[S, K]``.
      pairs: Pairs (X, Y) of methods.
      reps: Resamples of the bootstrap.
      seed: Decides them.

    Returns:
      Dict of pair to array ``[3]``: P(X > Y), the mean over the tasks, and the ends of its 95 %
      interval.
    """
    both = {pair: tuple(scores[method] for method in pair) for pair in pairs}
    found = _bootstrap(both, metrics.probability_of_improvement, reps, seed)
    return {pair: values.reshape(3) for pair, values in found.items()}


def _aggregate(values):
    return np.array(
        [
            metrics.aggregate_iqm(values),
            metrics.aggregate_median(values),
            metrics.aggregate_mean(values),
            metrics.aggregate_optimality_gap(values),
        ]
    )


def _bootstrap(scores, function, reps, seed):
    with _numpy_seed(seed):
        estimates, ends = library.get_interval_estimates(scores, function, reps=reps)
    return {key: np.vstack([estimates[key], ends[key]]) for key in estimates}


@contextlib.contextmanager
def _numpy_seed(seed):
    """Seeds NumPy's global generator inside and puts its state back.

    ``rliable`` 1.2 draws from it, whatever ``random_state`` it is given.
    """
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
