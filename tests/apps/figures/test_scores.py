"""Reading of score files and run folders."""

import json

import numpy as np
import pytest

from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.run_folders import last_step, read_run_folder
from dreamer_tf.apps.figures.scores import read_score_file
from dreamer_tf.apps.figures.tasks import title
from tests.apps.figures.runs import entry, run_folder, score_file


@pytest.mark.parametrize("name", ["scores.json", "scores.json.gz"])
def test_curves_are_read(tmp_path, name):
    path = score_file(tmp_path / name, [entry(seed="3", xs=[30, 10, 20], ys=[3, 1, None])])
    [curve], finals = read_score_file(path)
    assert (curve.task, curve.method, curve.seed) == ("dmc_walker_walk", "dreamer", "3")
    np.testing.assert_array_equal(curve.xs, [10, 30])  # sorted, without the missing score
    np.testing.assert_array_equal(curve.ys, [1, 3])
    assert curve.end == 30 and finals == []


def test_scores_of_one_frame_are_averaged(tmp_path):
    points = entry(xs=[10, 20, 10, 10, 10, 20], ys=[0, 100, 0, 100, None, 50])
    [curve], _ = read_score_file(score_file(tmp_path / "scores.json", [points]))
    np.testing.assert_array_equal(curve.xs, [10, 20])
    np.testing.assert_allclose(curve.ys, [100 / 3, 75])


def test_final_scores_are_read(tmp_path):
    content = {"dmc_walker_walk": {"d4pg_100m": 968.3, "planet": 951}}
    curves, finals = read_score_file(score_file(tmp_path / "baselines.json", content))
    assert curves == []
    assert {(f.method, f.score) for f in finals} == {("d4pg_100m", 968.3), ("planet", 951.0)}


def test_other_spellings_become_one_task_and_averages_are_no_tasks(tmp_path):
    names = ["dmc_cup_catch", "atari_james_bond", "stats_normalized_mean"]
    path = score_file(tmp_path / "scores.json", [entry(task=name) for name in names])
    curves, _ = read_score_file(path)
    assert [curve.task for curve in curves] == ["dmc_ball_in_cup_catch", "atari_jamesbond"]


def test_a_curve_without_any_score_is_none(tmp_path):
    path = score_file(tmp_path / "scores.json", [entry(ys=[None, None]), entry(xs=[], ys=[])])
    assert read_score_file(path) == ([], [])


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ([{"task": "a", "xs": [], "ys": []}], "task, xs, ys"),
        ([[1, 2]], "entry 0 has list"),
        ([entry(xs=[1, 2], ys=[1])], "2 xs but 1 ys"),
        ([entry(xs=["1", "2"])], "xs of entry 0"),
        ({"a": 1}, "'a' holds int"),
        ({"a": {"b": "1"}}, "b: '1'"),
        ("text", "got str"),
    ],
)
def test_what_is_no_score_file_is_an_error_that_says_why(tmp_path, content, part):
    path = score_file(tmp_path / "other.json", content)
    with pytest.raises(FigureError) as raised:
        read_score_file(path)
    assert str(path) in str(raised.value) and part in str(raised.value)


@pytest.mark.parametrize(("name", "data"), [("a.json", b"[{"), ("a.json.gz", b"no gzip")])
def test_a_damaged_file_is_an_error(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FigureError, match="cannot be read"):
        read_score_file(tmp_path / name)


def test_a_run_folder_tells_its_options_and_how_far_it_came(tmp_path):
    run = read_run_folder(run_folder(tmp_path / "run", dreamer__imag_horizon=7, reached=80))
    assert run.settings["dreamer.imag_horizon"] == 7
    assert run.curve.settings is run.settings and run.curve.source == run.path
    assert run.env_frames == 100  # the last score is later than the last line of metrics
    assert run.is_finished


def test_options_that_this_version_does_not_know_do_no_harm(tmp_path):
    folder = run_folder(tmp_path / "run")
    with (folder / "config.yaml").open("a") as file:
        file.write("planner:\n  of_another_version: 3\n")
    assert read_run_folder(folder).settings["planner.of_another_version"] == 3


def test_a_folder_that_is_no_run_is_an_error(tmp_path):
    with pytest.raises(FigureError, match="no config.yaml"):
        read_run_folder(tmp_path)
    (tmp_path / "config.yaml").write_text("just: this\n")
    with pytest.raises(FigureError, match="no number of steps"):
        read_run_folder(tmp_path)


@pytest.mark.parametrize("lines", [1, 2, 3000])
@pytest.mark.parametrize("torn", ["", '{"step": 99', '{"step": 99}'])
def test_the_last_whole_line_tells_the_step(tmp_path, lines, torn):
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"step": 7 * i, "text": "x" * 50}) + "\n" for i in range(1, lines + 1)]
    path.write_text("".join(rows) + torn)
    assert last_step(path) == 7 * lines


def test_without_metrics_the_step_is_zero(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert last_step(path) == 0
    path.write_text('{"step": 3')
    assert last_step(path) == 0


@pytest.mark.parametrize(
    ("task", "text"),
    [
        ("dmc_cartpole_swingup_sparse", "Cartpole Swingup Sparse"),
        ("dmc_ball_in_cup_catch", "Cup Catch"),
        ("atari_ms_pacman", "Ms Pacman"),
        ("gymnasium_Pendulum-v1", "Pendulum-v1"),
        ("gymnasium_package.envs:Maze-v0", "Maze-v0"),
        ("custom", "Custom"),
    ],
)
def test_titles(task, text):
    assert title(task) == text
