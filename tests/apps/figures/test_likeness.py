"""What is unlike among runs and scores that a figure compares: refused, or said."""

import json

import pytest

from dreamer_tf.apps.figures.collection import gather
from dreamer_tf.apps.figures.errors import FigureError
from dreamer_tf.apps.figures.learning_curves import draw
from dreamer_tf.apps.figures.run_folders import read_run_folder
from tests.apps.figures.runs import entry, run_folder, score_file

WALK, CATCH = "dmc_walker_walk", "dmc_ball_in_cup_catch"
FITTED = [{"step": 60, "agent_steps": 0}, {"step": 70, "eval/return": 1.0}]
ACTED = [{"step": 60, "agent_steps": 30}, {"step": 70, "train/return": 1.0}]


def refusal(*args, **kwargs):
    """The message with which `gather` refuses."""
    with pytest.raises(FigureError) as raised:
        gather(*args, **kwargs)
    return str(raised.value)


def test_seeds_that_were_made_with_other_settings_are_noted(tmp_path):
    for seed, shown in enumerate(("pixels", "state", "state")):
        options = {"env__observations": shown, "replay__batch_size": 16 + seed}
        run_folder(tmp_path / str(seed), seed=seed, **options)
    [note] = gather([tmp_path]).notes
    assert "dreamer on Walker Walk" in note and "env.observations (pixels, state)" in note
    assert "replay.batch_size (16, 17, 18)" in note
    assert gather([f"{name}={tmp_path / name}" for name in "012"]).notes == ()
    [note] = gather([tmp_path], group_by="env.observations").notes
    assert note.startswith("state on") and "--group_by replay.batch_size" in note
    assert gather([tmp_path], option="replay.batch_size").notes == ()
    with_task = run_folder(tmp_path / "3", task="dmc_hopper_hop", env__observations="state")
    run_folder(tmp_path / "4", task="dmc_hopper_hop", seed=1)
    assert "env.observations (state, pixels)" in gather([with_task, tmp_path / "4"]).notes[0]


def test_seeds_that_differ_in_nothing_that_is_learned_with_are_not(tmp_path):
    first = run_folder(tmp_path / "0", agent="dreamerv3", run__from_run="other/seed0")
    run_folder(
        tmp_path / "1",
        seed=1,
        agent="dreamerv3",
        run__from_run="other/seed1",
        run__eval_every=500,
        run__checkpoint_every=1.0,
        run__loggers=["none"],
        env__workers="inline",
        dreamer__imag_horizon=3,  # Of another agent.
    )
    assert gather([tmp_path]).notes == ()
    text = (first / "config.yaml").read_text()
    (first / "config.yaml").write_text(text.replace("  observations: pixels\n", ""))
    assert gather([tmp_path]).notes == (), "an older version did not know it"
    run_folder(tmp_path / "2", seed=2, agent="dreamerv3", run__from_run="a", run__eval_every=0)
    [note] = gather([tmp_path]).notes
    assert "run.eval_every (10000, 500, 0)" in note, "its score is of training episodes"


def test_evaluations_beside_score_files_are_noted(tmp_path):
    metrics = [{"step": 100, "train/return": 3.0}]
    run = run_folder(tmp_path / "run", metrics=metrics)
    published = score_file(tmp_path / "a.json", [entry(), entry(method="sac", task="dmc_x_y")])
    for sides in ([run], [published]), ([published], [run]):
        [note] = gather(*sides).notes
        assert "are evaluations" in note and "--metric train/return" in note
    assert gather([run], [published], metric="train/return").notes == ()
    assert gather([run, score_file(tmp_path / "b.json", [entry(seed=1)])]).notes == ()
    unevaluated = run_folder(tmp_path / "c", run__eval_every=0)
    assert gather([unevaluated], [published]).notes == ()


def test_two_final_scores_of_a_method_on_a_task_are_refused(tmp_path):
    run = [run_folder(tmp_path / "walk"), run_folder(tmp_path / "catch", task=CATCH)]
    several = score_file(tmp_path / "a.json", {WALK: {"planet": 4, "sac": 5}})
    message = refusal(run, [f"Older={several}"])
    assert "planet and sac cannot both be Older" in message and "--methods" in message
    assert gather(run, [several]).baselines == ["planet", "sac"]
    assert gather(run, [f"Older={several}"], tasks=[CATCH]).finals == ()
    other = score_file(tmp_path / "b.json", {WALK: {"planet": 6}})
    message = refusal(run, [several, other])
    assert f"in {several} and in {other}" in message and "NAME=" in message
    assert gather(run, [several, f"New={other}"]).final(WALK, "New") == 6
    twice = {CATCH: {"planet": 1}, "dmc_cup_catch": {"planet": 2}}
    message = refusal(run, [score_file(tmp_path / "c.json", twice)])
    assert "two names of the task" in message and CATCH in message


def test_curves_of_several_methods_have_no_common_name(tmp_path):
    path = score_file(tmp_path / "a.json", [entry(), entry(method="sac")])
    assert "dreamer and sac cannot both be Ours" in refusal([f"Ours={path}"])


@pytest.mark.parametrize("end", ["", '{"step": 80, "agent_'])
def test_the_unit_is_that_of_the_newest_line_that_counts_actions(tmp_path, end):
    for name, lines in ("fitted", FITTED), ("acted", FITTED[:1] + ACTED), ("unknown", ACTED[1:]):
        folder = run_folder(tmp_path / name, metrics=lines)
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(end)
        expected = "updates" if name == "fitted" else "frames"
        assert read_run_folder(folder).unit == expected, name
    long = run_folder(tmp_path / "long", metrics=[*FITTED, *[{"step": 80, "x": "y" * 999}] * 200])
    assert read_run_folder(long).unit == "updates"


def test_what_counts_updates_is_called_so_and_not_mixed_with_frames(tmp_path):
    fitted = run_folder(tmp_path / "fitted", metrics=FITTED)
    acted = run_folder(tmp_path / "acted", seed=1, metrics=ACTED)
    message = refusal([fitted, acted])
    assert f"nothing acts in {fitted}" in message and f"{acted} counts frames" in message
    assert "nothing acts" in refusal([fitted], [acted])
    labels = [draw(gather([run])).figure.get_supxlabel() for run in (fitted, acted)]
    assert labels == ["Updates", "Environment frames"]
    published = score_file(tmp_path / "a.json", [entry()])
    assert any("count updates" in note for note in gather([fitted], [published]).notes)
    half = run_folder(tmp_path / "half", xs=[], metrics=FITTED[:1], reached=60)
    assert "60 of 100 updates" in refusal([half])


def test_a_run_and_its_own_scores_are_one(tmp_path):
    run = run_folder(tmp_path / "runs" / "a", metrics=[{"step": 90, "train/return": 7.0}])
    run_folder(tmp_path / "runs" / "b", seed=1)
    scores = run / "scores.json"
    for paths in ([f"Ours={scores}", tmp_path / "runs"], [tmp_path / "runs", f"Ours={scores}"]):
        found = gather(paths)
        assert [(c.method, c.seed) for c in found.runs] == [("Ours", "0"), ("dreamer", "1")]
    assert len(gather([run, scores]).runs) == 1
    assert "B would have nothing" in refusal([f"A={run}", f"B={scores}"])
    apart = gather([f"Played={run}", f"Evaluated={scores}"], metric="train/return")
    assert {c.method: c.ys.tolist() for c in apart.runs} == {
        "Played": [7.0],
        "Evaluated": [1.0, 2.0],
    }


def test_a_run_inside_the_folder_of_another_is_noted(tmp_path):
    outer = run_folder(tmp_path / "runs" / "outer")
    inner = run_folder(outer / "earlier" / "inner", seed=1)
    run_folder(outer / "checkpoints" / "copy", seed=2)
    (outer / "files").mkdir()
    (outer / "files" / "config.yaml").write_text("of: another tool")
    found = gather([tmp_path / "runs"])
    [note] = found.notes
    assert [curve.seed for curve in found.runs] == ["0"]
    assert str(inner) in note and "checkpoints" not in note and "files" not in note
    for paths in ([outer, inner], [inner, outer]):
        found = gather(paths)
        assert len(found.runs) == 2 and found.notes == ()


@pytest.mark.parametrize("name", ["objective", "free_nats"])
def test_an_option_of_another_agent_does_not_tell_runs_apart(tmp_path, name):
    run = run_folder(tmp_path / "run", agent="dreamerv3")
    key = f"dreamer.{name}"
    message = refusal([run], group_by=key)
    assert f"is a run of dreamerv3, which does not read {key}" in message
    own = f"dreamerv3.{name}"
    if own in read_run_folder(run).settings:
        assert f"its own is {own}" in message
        assert len(gather([run], group_by=own).runs) == 1
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("agent: dreamerv3", "agent: mine:Own"))
    scores = json.loads((run / "scores.json").read_text())
    (run / "scores.json").write_text(json.dumps([scores[0] | {"method": "Own"}]))
    assert len(gather([run], group_by=key).runs) == 1, "one's own may read any"
