"""Averaging over seeds, and final scores."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from dreamer_tf.apps.figures.aggregation import Seeds, final_scores, in_bins, mean_of_present, meet
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.scores import Curve

NAN = np.nan


def curve(xs, ys, seed=0):
    return Curve(
        "dmc_walker_walk",
        "dreamer",
        str(seed),
        np.array(xs, float),
        np.array(ys, float),
        "file.json",
    )


def test_curves_on_one_grid_are_taken_as_they_are():
    seeds = meet([curve([10, 20, 30], [1, 2, 3]), curve([10, 20, 30], [3, 4, 8])])
    np.testing.assert_array_equal(seeds.xs, [10, 20, 30])
    np.testing.assert_allclose(seeds.mean, [2, 3, 5.5])
    np.testing.assert_allclose(seeds.std, [1, 1, 2.5])
    np.testing.assert_array_equal(seeds.low, [1, 2, 3])
    np.testing.assert_array_equal(seeds.high, [3, 4, 8])


def test_a_missing_point_lies_between_its_neighbours_and_ends_stay_empty():
    seeds = meet([curve([10, 20, 30], [1, 2, 3]), curve([10, 30, 40], [0, 10, 20])])
    np.testing.assert_allclose(seeds.ys, [[1, 2, 3, NAN], [0, 5, 10, 20]])
    np.testing.assert_allclose(seeds.mean, [0.5, 3.5, 6.5, 20])


def test_the_interval_of_the_mean_is_students():
    seeds = Seeds(np.array([10, 20, 30]), np.array([[1, 2, NAN], [4, NAN, NAN], [7, 8, 3.0]]))
    # 4.303 and 12.71 are the 97.5 % quantiles with two and one degrees of freedom.
    expected = [4.303 * 3 / 3**0.5, 12.706 * 18**0.5 / 2**0.5, NAN]
    np.testing.assert_allclose(seeds.interval, expected, rtol=1e-3)
    means = np.random.default_rng(0).normal(5, 2, (3, 20_000))
    many = Seeds(np.arange(20_000), means)
    assert np.mean(np.abs(many.mean - 5) < many.interval) == pytest.approx(0.95, abs=0.006)


def test_bins_hold_their_upper_border():
    seeds = in_bins([curve([0, 5, 10, 10.1, 20], [1, 2, 3, 10, 20])], np.array([0, 10, 20]))
    np.testing.assert_array_equal(seeds.xs, [10, 20])
    np.testing.assert_allclose(seeds.ys, [[2, 15]])


def test_an_empty_bin_lies_between_its_neighbours():
    seeds = in_bins([curve([15, 45], [1, 4])], np.arange(0, 70, 10))
    np.testing.assert_allclose(seeds.ys, [[NAN, 1, 2, 3, 4, NAN]])


def test_points_outside_of_all_bins_do_not_count():
    seeds = in_bins([curve([5, 25], [1, 9])], np.array([0, 10, 20]))
    np.testing.assert_allclose(seeds.ys, [[1, NAN]])
    assert np.isnan(in_bins([curve([25], [9])], np.array([0, 10, 20])).ys).all()


def test_curves_without_a_common_grid_meet_in_bins():
    first = curve(np.arange(1, 101), np.ones(100))
    second = curve(np.arange(1, 101) - 0.5, np.full(100, 3))
    seeds = meet([first, second], bins=10)
    np.testing.assert_allclose(seeds.xs, np.arange(10, 101, 10))
    np.testing.assert_allclose(seeds.mean, np.full(10, 2))


def test_a_line_ends_where_fewer_than_half_of_the_seeds_go_on():
    long = [curve([10, 20, 30, 40], [1, 1, 1, 1], seed) for seed in range(1)]
    middle = [curve([10, 20, 30], [1, 1, 1], seed) for seed in range(1, 2)]
    short = [curve([10, 20], [1, 1], seed) for seed in range(2, 4)]
    np.testing.assert_array_equal(meet(long + middle + short).majority().xs, [10, 20, 30])
    np.testing.assert_array_equal(meet(long).majority().xs, [10, 20, 30, 40])


def test_a_curve_is_cut_on_a_straight_line():
    seeds = Seeds(np.array([10.0, 20, 30]), np.array([[1.0, 2, 4]])).until(25)
    np.testing.assert_allclose(seeds.xs, [10, 20, 25])
    np.testing.assert_allclose(seeds.ys, [[1, 2, 3]])
    whole = Seeds(np.array([10.0, 20]), np.array([[1.0, 2]]))
    assert whole.until(20) is whole
    assert whole.until(10).xs.tolist() == [10] and whole.until(10).ys.tolist() == [[1]]
    assert whole.until(5).xs.tolist() == [] and whole.until(5).ys.shape == (1, 0)


def test_what_no_seed_has_is_missing():
    np.testing.assert_allclose(mean_of_present(np.array([[1, NAN], [NAN, NAN]])), [1, NAN])


POINTS = st.lists(st.tuples(st.floats(0, 1000), st.floats(-100, 100)), min_size=1, max_size=30)


@hypothesis.given(POINTS, st.integers(1, 20))
def test_binning_keeps_to_the_range_and_to_the_mean_of_each_bin(points, bins):
    xs, ys = np.array(sorted(points)).T
    borders = np.linspace(0, 1000, bins + 1)
    [binned] = in_bins([curve(xs, ys)], borders).ys
    for i, value in enumerate(binned):
        inside = (xs <= borders[i + 1]) & ((xs > borders[i]) | (i == 0))
        if inside.any():
            assert value == pytest.approx(ys[inside].mean(), abs=1e-9)
    present = binned[np.isfinite(binned)]
    assert len(present) and present.min() >= ys.min() - 1e-9 and present.max() <= ys.max() + 1e-9


def test_a_final_score_is_the_mean_over_the_last_part():
    xs = np.arange(10, 101, 10)
    scores = final_scores([curve(xs, xs), curve(xs, 2 * xs)], window=0.3)
    np.testing.assert_allclose(scores, [90, 180])  # 80, 90 and 100: 70 is outside
    np.testing.assert_allclose(final_scores([curve(xs, xs)], at=50, window=0.2), [50])


def test_a_seed_that_ended_early_has_no_final_score():
    whole, ended = curve([50, 100], [1, 2]), curve([50], [7])
    np.testing.assert_allclose(final_scores([whole, ended]), [2])
    np.testing.assert_allclose(final_scores([whole, ended], at=50), [1, 7])


def test_a_score_beyond_all_curves_is_refused():
    with pytest.raises(FigureError, match="end at 100"):
        final_scores([curve([50, 100], [1, 2])], at=500)
