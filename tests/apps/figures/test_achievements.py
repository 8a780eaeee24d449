"""Success rates of Crafter's achievements."""

import json

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason='matplotlib is missing: pip install "dreamer-tf[figures]"')

from dreamer_tf.apps.figures import achievements
from dreamer_tf.apps.figures.collection import gather
from dreamer_tf.apps.figures.commands import plot
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.run_folders import ACHIEVEMENTS
from tests.apps.figures.runs import run_folder

NAMES = ("collect_wood", "eat_cow")
# Frames and how often each was reached, of the episodes of two seeds.
SEEDS = (
    [(10, (3, 0)), (40, (0, 0)), (60, (1, 0)), (100, (1, 1))],
    [(20, (0, 0)), (90, (2, 0))],
)


def episode(frames, counts):
    """The line of an episode, and the line of an interval, which is none."""
    metrics = {f"train/log_achievement_{n}": float(c) for n, c in zip(NAMES, counts, strict=True)}
    unlocked = float(sum(count > 0 for count in counts))
    line = {"step": frames, "train/return": 1.0, ACHIEVEMENTS: unlocked, **metrics}
    return json.dumps(line) + "\n" + json.dumps({"step": frames, "loss/reward": 0.5}) + "\n"


@pytest.fixture
def runs(tmp_path):
    """Two seeds without evaluations."""
    for seed, episodes in enumerate(SEEDS):
        path = tmp_path / "runs" / str(seed)
        run_folder(path, task="crafter_reward", seed=seed, xs=())
        (path / "metrics.jsonl").write_text("".join(episode(*each) for each in episodes))
    return tmp_path / "runs"


def drawn(runs, **options):
    collection = gather([runs], metric=ACHIEVEMENTS, unfinished=True)
    return achievements.draw(collection, **options)


def heights(drawing):
    """Dict of a group's name to the height of its bar."""
    [axis] = drawing.figure.axes
    names = [label.get_text() for label in axis.get_xticklabels()]
    return dict(zip(names, [bar.get_height() for bar in axis.patches], strict=True))


def test_rates_are_shares_of_episodes_and_means_over_seeds(runs):
    drawing = drawn(runs)
    # Wood in 3 of 4 episodes and 1 of 2, a cow in 1 of 4 and none: however often in an episode.
    scores = [np.sqrt(76 * 26) - 1, np.sqrt(51 * 1) - 1]
    expected = {"Collect Wood": 62.5, "Eat Cow": 12.5, "Score": np.mean(scores)}
    assert heights(drawing) == pytest.approx(expected)
    assert list(heights(drawing))[-1] == "Score"
    assert drawing.text.splitlines()[1].split() == ["Collect", "Wood", "62.5", "±", "12.5"]
    assert drawing.notes == ("dreamer, seed 0: 4 episodes", "dreamer, seed 1: 2 episodes")


def test_the_episodes_that_count_are_chosen(runs):
    assert heights(drawn(runs, at=60))["Collect Wood"] == pytest.approx(100 * (2 / 3 + 0) / 2)
    # The last half of 100 and of 90 frames.
    late = heights(drawn(runs, window=0.5))
    assert late["Collect Wood"] == 100 and late["Eat Cow"] == 25
    with pytest.raises(FigureError, match="no episode that ended between 0 and 5 frames; its last"):
        drawn(runs, at=5)


def test_the_score_of_equal_rates_is_that_rate_and_of_rare_ones_a_part():
    assert achievements.score([40.0] * 22) == pytest.approx(40.0)
    assert achievements.score([0.0] * 22) == 0.0
    # The geometric mean of 100 and 1, less 1.
    assert achievements.score([99.0, 0.0]) == pytest.approx(9.0)


def test_what_was_seen_once_is_seen_and_nothing_ends_outside(runs):
    [axis] = drawn(runs).figure.axes
    low, high = axis.get_ylim()
    assert axis.get_yscale() == "log" and (low, high) == (1.0, 100.0)


def test_one_task_at_a_time(runs):
    run_folder(runs / "other", task="crafter_noreward", xs=())
    (runs / "other" / "metrics.jsonl").write_text(episode(100, (1, 0)))
    message = "one task at a time: choose by --tasks crafter_noreward or crafter_reward"
    with pytest.raises(FigureError, match=message):
        drawn(runs)


def test_another_task_has_no_achievements(tmp_path, capsys):
    run_folder(tmp_path / "walker")
    with pytest.raises(SystemExit):
        plot(["--figure", "achievements", "--indir", str(tmp_path / "walker")])
    message = f"{tmp_path / 'walker'} has no {ACHIEVEMENTS} in its metrics"
    assert message in capsys.readouterr().err


def test_the_command_counts_all_episodes(runs, tmp_path, capsys):
    words = ["--figure", "achievements", "--unfinished", "--indir", f"random={runs}"]
    plot([*words, "--out", str(tmp_path), "--formats", "png"])
    printed = capsys.readouterr()
    assert "random, seed 0: 4 episodes" in printed.err and "Random" in printed.out
