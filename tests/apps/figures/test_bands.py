"""Runs over a published band."""

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='matplotlib is missing: pip install "dreamer-tf[figures]"')

from dreamer_tf.apps.figures import bands
from dreamer_tf.apps.figures.collection import Collection, gather
from dreamer_tf.apps.figures.commands import plot
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.scores import Curve
from tests.apps.figures.runs import entry, run_folder, score_file

XS = np.array([10.0, 20.0, 30.0, 40.0])
PUBLISHED = ([1.0, 2.0, 3.0, 4.0], [3.0, 4.0, 5.0, 6.0], [8.0, 9.0, 10.0, 11.0])


def curve(xs, ys, seed=0, method="dreamer", task="dmc_walker_walk"):
    return Curve(task, method, str(seed), np.asarray(xs), np.asarray(ys), "file.json", {})


def published(task="dmc_walker_walk"):
    return [curve(XS, ys, seed, "them", task) for seed, ys in enumerate(PUBLISHED)]


def test_a_run_is_inside_above_or_below_the_published_seeds():
    # Two episodes in the first stretch count by their mean, 0.5: below. The last has 4: inside.
    run = curve([5, 10, 15, 25, 40], [0.0, 1.0, 9.0, 11.0, 4.0])
    compared = bands.compare([run], published())
    np.testing.assert_allclose(compared.runs.ys, [[0.5, 9.0, 11.0, 4.0]])
    inside, above, below, near = compared.where(compared.runs.ys[0])
    assert inside.tolist() == [False, True, False, True]
    assert above.tolist() == [False, False, True, False]
    assert below.tolist() == [True, False, False, False]
    # The mean is 4, 5, 6, 7; the deviation sqrt(26/3) = 2.9 everywhere.
    assert near.tolist() == [False, False, False, False]
    assert compared.where(np.array([4.0, 7.8, 9.0, 4.2]))[3].tolist() == [True, True, False, True]


def test_what_lies_behind_the_end_of_a_run_is_not_judged():
    compared = bands.compare([curve([10, 29], [2.0, 2.0])], published())
    np.testing.assert_array_equal(compared.band.xs, [10, 20])
    both = bands.compare([curve([10, 29], [2.0, 2.0]), curve([10, 40], [2.0, 6.0], 1)], published())
    # The first has an episode in the third stretch, which it had not finished.
    assert np.isfinite(both.runs.ys).tolist() == [[True, *[False] * 3], [True, *[False] * 2, True]]
    assert not np.any([flag[2:] for flag in both.where(both.runs.ys[0])])
    with pytest.raises(FigureError, match="ends at 9 frames, before the first of them, 10"):
        bands.compare([curve([9], [2.0])], published())


def test_a_point_without_an_episode_is_not_judged_though_the_line_goes_on():
    """Sixteen environments whose episodes end together, of 1000 steps, on a grid of 10,000."""
    xs = np.arange(10_000.0, 50_001, 10_000)
    them = [curve(xs, np.full(5, y), seed, "them") for seed, y in enumerate((10.0, 20.0))]
    run = curve([16_000, 32_000, 48_000, 50_000], [12.0, 14.0, 40.0, 40.0])
    compared = bands.compare([run], them)
    np.testing.assert_allclose(compared.runs.ys, [[np.nan, 12, np.nan, 14, 40]])
    drawing = bands.draw(Collection((run,), tuple(them)))
    row = [cell.strip() for cell in drawing.text.splitlines()[1].split("  ") if cell.strip()]
    assert row == ["Walker Walk", "dreamer 0", "20K, 40K", "50K", "–", "2 of 3"]
    line = drawing.figure.axes[0].get_lines()[-1]
    assert line.get_xdata().tolist() == [20_000, 40_000, 50_000]
    assert line.get_ydata().tolist() == [12, 14, 40]


def test_the_mean_of_the_runs_is_that_of_those_with_an_episode_there():
    runs = (curve([10, 30, 40], [2.0, 4.0, 6.0]), curve(XS, [4.0, 6.0, 8.0, 8.0], 1))
    compared = bands.compare(list(runs), published())
    np.testing.assert_allclose(compared.runs.mean, [3, 6, 6, 7])
    drawing = bands.draw(Collection(runs, tuple(published())), until=35)
    first, second, mean = drawing.figure.axes[0].get_lines()[-3:]
    assert (first.get_xdata().tolist(), first.get_ydata().tolist()) == ([10, 30, 35], [2, 4, 5])
    assert second.get_ydata().tolist() == [4, 6, 8, 8] and mean.get_ydata().tolist() == [
        *(3, 6, 6),
        6.5,
    ]


def test_the_table_names_the_frames_of_every_run_and_of_their_mean():
    xs = 1000 * XS
    them = [curve(xs, ys, seed, "them") for seed, ys in enumerate(PUBLISHED)]
    runs = (curve(xs, [0.0, 5.0, 5.0, 20.0]), curve(xs, [2.0, 5.0, 0.0, 20.0], 1))
    drawing = bands.draw(Collection(runs, tuple(them)))
    rows = [line.split("  ") for line in drawing.text.splitlines()]
    rows = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert rows == [
        ["task", "run", "inside", "above", "below", "in ± std"],
        ["Walker Walk", "dreamer 0", "20K-30K", "40K", "10K", "2 of 4"],
        ["Walker Walk", "dreamer 1", "10K-20K", "40K", "30K", "2 of 4"],
        ["Walker Walk", "dreamer, mean", "10K-20K", "40K", "30K", "1 of 4"],
    ]
    [axis] = drawing.figure.axes
    light, dark = [c.get_paths()[0].vertices[:, 1] for c in axis.collections]
    assert (light.min(), light.max()) == (1.0, 11.0)
    assert dark.min() == pytest.approx(4 - (26 / 3) ** 0.5)
    np.testing.assert_allclose(axis.get_lines()[-1].get_ydata(), [1.0, 5.0, 2.5, 20.0])


def test_a_task_of_which_nothing_is_published_is_named():
    runs = (curve(XS, XS), curve(XS, XS, task="dmc_cheetah_run"))
    with pytest.raises(FigureError, match="no curve of dmc_cheetah_run.*--tasks"):
        bands.draw(Collection(runs, tuple(published())))


def test_returns_of_training_episodes_are_compared_not_those_of_evaluations(tmp_path, capsys):
    run = run_folder(tmp_path / "run", xs=(100,), ys=(7.0,), agent="dreamerv3", steps=40)
    lines = [(0, 5.0), (10, 1.0), (10, 3.0), (20, 4.0), (40, 12.0)]
    with (run / "metrics.jsonl").open("a") as file:
        for step, score in lines:
            file.write(json.dumps({"step": step, "train/return": score}) + "\n")
        file.write('{"step": 50, "train/return": 9')  # Being written.
    [found] = gather([run], metric="train/return").runs
    assert (found.xs.tolist(), found.ys.tolist()) == ([0, 10, 20, 40], [5.0, 2.0, 4.0, 12.0])
    assert (found.task, found.method, found.seed) == ("dmc_walker_walk", "dreamerv3", "0")
    with pytest.raises(FigureError, match="no train/nothing in its metrics$"):
        gather([run], metric="train/nothing")
    them = score_file(
        tmp_path / "them.json",
        [entry(method="dreamerv3", seed=n, xs=XS, ys=ys) for n, ys in enumerate(PUBLISHED)],
    )
    words = ["--figure", "bands", "--indir", str(run), "--baselines", str(them)]
    plot([*words, "--out", str(tmp_path / "out"), "--formats", "png"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[2:5] == ["dreamerv3", "0", "10-20"] and "bands.png" in printed[2]
