"""What is gathered from folders and files, and what is refused."""

import json

import pytest

from dreamer_tf.apps.figures.collection import gather, setting
from dreamer_tf.apps.figures.errors import FigureError
from tests.apps.figures.runs import entry, run_folder, score_file


def refusal(*args, **kwargs):
    """The message with which `gather` refuses."""
    with pytest.raises(FigureError) as raised:
        gather(*args, **kwargs)
    return str(raised.value)


def test_runs_and_score_files_are_found_below_a_folder(tmp_path):
    run_folder(tmp_path / "walk" / "seed0")
    run_folder(tmp_path / "walk" / "seed1", seed=1)
    score_file(tmp_path / "old" / "more.json.gz", [entry(seed=7)])
    (tmp_path / "readme.md").write_text("scores")
    found = gather([tmp_path])
    assert [curve.seed for curve in found.of("dmc_walker_walk", "dreamer")] == ["0", "1", "7"]
    assert found.notes == ()


def test_what_is_named_twice_is_read_once(tmp_path):
    folder = run_folder(tmp_path / "run")
    assert len(gather([tmp_path, folder]).runs) == 1


def test_other_json_in_a_folder_is_noted_but_an_error_when_named(tmp_path):
    score_file(tmp_path / "scores.json", [entry()])
    other = score_file(tmp_path / "table.json", [1, 2])
    assert [note for note in gather([tmp_path]).notes if "table.json" in note]
    assert "not a score file" in refusal([other])


def test_a_path_that_holds_no_scores_is_refused(tmp_path):
    assert "nothing at" in refusal([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    message = refusal([tmp_path / "empty"])
    assert "no run folder" in message and "config.yaml" in message


def test_unfinished_runs_are_refused_or_taken_as_they_are(tmp_path):
    run_folder(tmp_path / "done", seed=0)
    run_folder(tmp_path / "half", seed=1, xs=[40], ys=[1.0], reached=60)
    run_folder(tmp_path / "new", seed=2, xs=[], ys=[], reached=10)
    message = refusal([tmp_path])
    assert "half: 60 of 100 frames" in message and "new: 10 of 100" in message
    assert "done" not in message and "--unfinished" in message
    found = gather([tmp_path], unfinished=True)
    assert [curve.seed for curve in found.runs] == ["0", "1"]
    assert "new has no scores yet" in found.notes[0]


def test_a_finished_run_without_scores_is_refused(tmp_path):
    run_folder(tmp_path / "run", xs=[], ys=[])
    assert "no scores" in refusal([tmp_path])


def test_two_curves_of_one_seed_are_refused_unless_told_apart(tmp_path):
    for name, horizon in (("short", 5), ("long", 15)):
        run_folder(tmp_path / name, dreamer__imag_horizon=horizon)
    message = refusal([tmp_path])
    assert "short" in message and "long" in message and "--group_by" in message
    named = gather([f"quick={tmp_path / 'short'}", tmp_path / "long"])
    assert named.methods == ["dreamer", "quick"]
    grouped = gather([tmp_path], group_by="dreamer.imag_horizon")
    assert grouped.methods == ["imag horizon 15", "imag horizon 5"]
    assert len(gather([tmp_path], option="dreamer.imag_horizon").runs) == 2
    assert len(gather([tmp_path / "long"], option="env.image_size").runs) == 1  # A list.


def test_what_has_a_name_keeps_it_beside_the_folder_around_it(tmp_path):
    run_folder(tmp_path / "long", seed=1)
    quick = f"quick={run_folder(tmp_path / 'short')}"
    for paths in ([tmp_path, quick], [quick, tmp_path]):
        assert gather(paths).methods == ["dreamer", "quick"]
    assert "slow would have nothing" in refusal([quick, f"slow={tmp_path / 'short'}"])


def test_a_name_may_hold_an_equals_sign_if_the_path_exists(tmp_path):
    folder = run_folder(tmp_path / "lr=1e-4")
    assert gather([folder]).methods == ["dreamer"]
    assert gather([f"slow={folder}"]).methods == ["slow"]


def test_grouping_names_the_option_that_comes_nearest(tmp_path):
    run_folder(tmp_path / "run")
    assert "dreamer.imag_horizon" in refusal([tmp_path], group_by="dreamer.imag_horizn")
    path = score_file(tmp_path / "other.json", [entry()])
    assert "give run folders" in refusal([path], group_by="dreamer.imag_horizon")


def test_a_score_file_tells_no_option(tmp_path):
    [curve] = gather([score_file(tmp_path / "a.json", [entry()])]).runs
    with pytest.raises(FigureError, match="score file"):
        setting(curve, "dreamer.imag_horizon")


def test_a_baseline_of_the_same_method_is_shown_apart(tmp_path):
    run = run_folder(tmp_path / "run")
    published = score_file(tmp_path / "a.json", [entry(), entry(method="sac")])
    finals = score_file(tmp_path / "b.json", {"dmc_walker_walk": {"dreamer": 5, "planet": 4}})
    found = gather([run], [published, finals])
    assert found.own == ["dreamer"]
    assert found.methods == ["dreamer", "dreamer (published)", "sac"]
    assert found.baselines == ["dreamer (published)", "planet"]
    assert found.final("dmc_walker_walk", "planet") == 4
    assert found.final("dmc_walker_walk", "sac") is None


def test_a_run_as_baseline_has_the_metric_of_the_runs_and_is_not_published(tmp_path):
    new = run_folder(tmp_path / "new", metrics=[{"step": 100, "train/return": 3.0}])
    old = run_folder(tmp_path / "old", metrics=[{"step": 100, "train/return": 2.0}])
    found = gather([new], [old], metric="train/return")
    assert found.methods == ["dreamer", "dreamer (baseline)"]
    assert [curve.ys.tolist() for curve in found.curves] == [[3.0], [2.0]]


def test_an_evaluation_that_was_made_again_counts_once(tmp_path):
    evaluations = [(30, 1.0), (60, 2.0), (90, 3.0), (60, 4.0), (90, 5.0)]  # Lost from 60 on.
    lines = [{"step": x, "eval/return": y, "train/return": y} for x, y in evaluations]
    run = run_folder(tmp_path / "run", metrics=lines)
    ys = {m: gather([run], metric=m).runs[0].ys.tolist() for m in ("eval/return", "train/return")}
    assert ys == {"eval/return": [1.0, 4.0, 5.0], "train/return": [1.0, 3.0, 4.0]}


def test_baselines_of_other_tasks_are_left_out(tmp_path):
    run = run_folder(tmp_path / "run")
    other = [entry(), entry(task="dmc_hopper_hop")]
    finals = {"dmc_hopper_hop": {"planet": 4}}
    paths = [score_file(tmp_path / "a.json", other), score_file(tmp_path / "b.json", finals)]
    found = gather([run], paths)
    assert found.tasks == ["dmc_walker_walk"]
    assert len(found.others) == 1 and found.finals == ()


def test_final_scores_are_no_runs(tmp_path):
    path = score_file(tmp_path / "b.json", {"dmc_walker_walk": {"planet": 4}})
    assert "--baselines" in refusal([path])
    assert "no learning curve" in refusal([score_file(tmp_path / "c.json", [])])


def test_tasks_and_methods_are_chosen(tmp_path):
    tasks = ["dmc_walker_walk", "dmc_walker_run", "dmc_cup_catch"]
    entries = [entry(task=task, method=m) for task in tasks for m in ("dreamer", "sac")]
    path = score_file(tmp_path / "a.json", entries)
    assert gather([path], tasks=["dmc_walker_*"]).tasks == ["dmc_walker_run", "dmc_walker_walk"]
    assert gather([path], tasks=["dmc_cup_catch"]).tasks == ["dmc_ball_in_cup_catch"]
    assert gather([path], methods=["sac"]).methods == ["sac"]
    assert "dmc_walker_walk" in refusal([path], tasks=["dmc_walker_wlak"])
    assert "there is dreamer" in refusal([path], methods=["dreemer"])


def test_names_keep_what_they_stand_for(tmp_path):
    curve = {"task": "dmc_walker_walk", "seed": 0, "xs": [1, 2], "ys": [3, 4]}
    for file, method in ("a", "dreamer"), ("b", "dreamerv2"), ("c", "dreamer"):
        text = json.dumps([{**curve, "method": method, "seed": file}])
        (tmp_path / f"{file}.json").write_text(text)
    a, b, c = (tmp_path / f"{name}.json" for name in "abc")
    assert gather([f"One={a}", f"One={c}", f"Two={b}"]).algorithms == {
        "One": "dreamer",
        "Two": "dreamerv2",
    }
    assert gather([f"Both={a}", f"Both={b}", c]).algorithms == {}
