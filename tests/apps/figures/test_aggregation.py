"""Averaging over seeds, and final scores."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from dreamer_tf.apps.figures.aggregation import (
    Seeds,
    final_scores,
    in_bins,
    in_panel,
    line_begin,
    line_end,
    mean_of_present,
    meet,
    over_tasks,
)
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


def test_the_frames_at_which_a_line_begins_and_ends_are_those_of_half_of_the_seeds():
    seeds = [curve([n, 10 * n], [1, 1]) for n in (1, 2, 3, 4, 5)]
    assert (line_begin(seeds), line_end(seeds)) == (3, 30)
    assert (line_begin(seeds[:4]), line_end(seeds[:4])) == (2, 30)
    assert meet(seeds[:4]).majority().xs[[0, -1]].tolist() == [2, 30]


def test_a_longer_curve_has_the_bins_of_the_panel():
    """Off a common grid, and ten times as long: the same function of frames is the same line."""

    def own(end, count):
        xs = np.sort(np.random.default_rng(count).uniform(0, end, count))
        return curve([*xs, end], [*xs, end])

    short, long = [own(1000, 400)], [own(10_000, 4000)]
    first, second = meet(short, 50), meet(long, 50, 1000)
    np.testing.assert_array_equal(first.xs, second.xs)
    np.testing.assert_allclose(first.mean, second.mean, atol=20)  # a bin
    assert np.abs(meet(long, 50).until(1000).mean - 1000).max() > 20, "bins of its own lag"


def test_a_longer_curve_on_a_grid_is_cut_at_the_end():
    seeds = meet([curve([30, 60, 90, 120], [3, 6, 9, 12])], 3, 70)
    np.testing.assert_allclose([seeds.xs, seeds.ys[0]], [[30, 60, 70], [3, 6, 7]])
    assert meet([curve([80, 90], [1, 2])], 3, 70).xs.tolist() == []
    one = meet([curve([60, 600], [1, 10])], 3, 70)
    np.testing.assert_allclose([one.xs, one.ys[0]], [[60, 70], [1, 1 + 9 / 54]])


def test_a_curve_that_goes_on_fills_the_bins_of_a_panel_to_its_end():
    sparse = curve([10, 70], [1, 7])
    np.testing.assert_allclose(in_panel([sparse], 50, 5).ys, [[1, 2, 3, 4, 5]])
    # What has points in the last bin is their mean, and what ends has no value behind its end.
    dense = curve([10, 42, 44, 70], [1, 2, 4, 100])
    assert in_panel([dense], 50, 5).ys[0, -1] == 3
    np.testing.assert_allclose(in_panel([curve([10, 35], [1, 4])], 50, 5).ys, [[1, 2, 3, 4, NAN]])
    assert np.isnan(in_panel([curve([60], [1])], 50, 5).ys).all()


def test_over_tasks_only_the_frames_count_that_half_of_the_seeds_have_on_each():
    long, short = curve(10 * np.arange(1, 11), np.ones(10)), curve([10, 20, 30, 40], [5] * 4)
    tasks = [[long, *[short] * 4], [long]]
    xs, means = over_tasks(tasks, 100, 10)
    assert xs.tolist() == [10, 20, 30, 40] and means[0].tolist() == [4.2] * 4
    assert over_tasks(tasks, 100, 10, majority=False)[0][-1] == 100


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
