"""Statistics over tasks and seeds, by rliable."""

import itertools

import numpy as np
import pytest

pytest.importorskip("rliable", reason='rliable is not installed: pip install "dreamer-tf[figures]"')

from dreamer_tf.apps.figures import statistics
from dreamer_tf.apps.figures.collection import Collection
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.matrices import score_matrices
from dreamer_tf.apps.figures.scores import Curve


def scores(seed, runs=4, tasks=6):
    return np.random.default_rng(seed).normal(0.5, 0.3, (runs, tasks))


def interquartile_mean(values):
    """The mean of the middle half, the slow way."""
    ordered = sorted(values.ravel())
    cut = len(ordered) // 4
    return sum(ordered[cut : len(ordered) - cut]) / (len(ordered) - 2 * cut)


def test_aggregates_are_what_they_say():
    values = scores(0)
    found = statistics.intervals({"a": values}, reps=50)["a"]
    per_task = values.mean(axis=0)
    gap = 1 - np.minimum(values, 1).mean()
    expected = [interquartile_mean(values), np.median(per_task), per_task.mean(), gap]
    np.testing.assert_allclose(found[0], expected)
    assert (found[1] <= found[0]).all() and (found[0] <= found[2]).all()
    assert (found[2] > found[1]).all()


def test_seeds_are_drawn_anew_for_each_task():
    # Tasks far apart, seeds alike: only a bootstrap within each task leaves no doubt.
    values = np.tile(np.arange(6.0), (4, 1))
    found = statistics.intervals({"a": values}, reps=50)["a"]
    np.testing.assert_allclose(found[1], found[2])


def test_profiles_are_shares_of_runs_above_a_level():
    values = np.array([[0.1, 0.5], [0.3, 0.9]])
    found = statistics.profiles({"a": values}, np.array([0, 0.1, 0.4, 1]), reps=50)["a"]
    np.testing.assert_allclose(found[0], [1, 0.75, 0.5, 0])
    assert (found[1] <= found[0]).all() and (found[0] <= found[2]).all()


def test_improvement_counts_pairs_of_runs():
    first, second = scores(1), scores(2, runs=3)
    wins = np.mean(
        [a > b for task in range(6) for a, b in itertools.product(first[:, task], second[:, task])]
    )
    found = statistics.improvement({"a": first, "b": second}, [("a", "b"), ("b", "a")], reps=50)
    assert found["a", "b"][0] == pytest.approx(wins)
    assert found["b", "a"][0] == pytest.approx(1 - wins)
    assert found["a", "b"][1] <= wins <= found["a", "b"][2]


def test_the_same_seed_gives_the_same_intervals_and_leaves_numpy_as_it_was():
    np.random.seed(3)
    expected = np.random.random()
    np.random.seed(3)
    runs = [statistics.intervals({"a": scores(0)}, reps=50, seed=seed)["a"] for seed in (0, 0, 1)]
    assert np.random.random() == expected
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0][1:], runs[2][1:])


def curve(task, seed, score, method="dreamer", frames=100):
    return Curve(task, method, str(seed), np.array([frames]), np.array([score]), "file.json")


def test_matrices_hold_normalised_scores_of_as_many_seeds_as_all_tasks_have():
    runs = [curve("dmc_a", seed, 100 * seed) for seed in range(3)]
    runs += [curve("dmc_b", seed, 500) for seed in range(2)]
    runs += [curve("dmc_c", 0, 500), curve("dmc_a", 0, 1000, "sac"), curve("dmc_b", 0, 0, "sac")]
    matrices, tasks, notes = score_matrices(Collection(tuple(runs)))
    assert tasks == ["dmc_a", "dmc_b"]
    np.testing.assert_allclose(matrices["dreamer"], [[0, 0.5], [0.1, 0.5]])
    np.testing.assert_allclose(matrices["sac"], [[1, 0]])
    assert any("1 further" in note for note in notes) and any("Dmc" in n or "C" in n for n in notes)


def test_methods_without_a_common_task_are_refused():
    runs = (curve("dmc_a", 0, 1), curve("dmc_b", 0, 1, "sac"))
    with pytest.raises(FigureError, match="no task has curves of all methods"):
        score_matrices(Collection(runs))


def test_seeds_that_ended_early_are_noted():
    runs = (curve("dmc_a", 0, 1), curve("dmc_a", 1, 1, frames=10))
    matrices, _, notes = score_matrices(Collection(runs))
    assert matrices["dreamer"].shape == (1, 1)
    assert "1 of 2 seeds ended early" in notes[0]
