"""What a run folder says about its run."""

import datetime
import json
import subprocess

import numpy as np
import pytest

from dreamer_tf import config as configs
from dreamer_tf.runs import lost, run_folder
from dreamer_tf.runs.errors import RunFolderError, RunFolderInUse
from dreamer_tf.specs import Space


def test_spaces_come_back_as_they_were(tmp_path):
    obs_space = {
        "image": Space(np.uint8, (64, 64, 3)),
        "speed": Space(np.float32, (2,), [-np.inf, -0.1], [np.inf, 1 / 3]),
        "flag": Space(bool),
        "kind": Space(np.int32, (), 0, 4),
    }
    act_space = {"action": Space(np.float32, (3,), -1, 1), "count": Space(np.int32, (2,))}
    native = {"action": Space(np.float32, (3,), -2, [1, 2, 3]), "count": Space(np.int32, (2,), -1)}
    run_folder.save_spaces(tmp_path, obs_space, act_space, native)
    assert run_folder.load_spaces(tmp_path) == (obs_space, act_space)
    assert run_folder.load_native_actions(tmp_path) == native
    assert (tmp_path / "spaces.json").stat().st_size < 2000


def test_a_folder_without_a_run_is_an_error(tmp_path):
    with pytest.raises(RunFolderError, match="is not the folder of a run"):
        run_folder.load_spaces(tmp_path)


def test_a_new_run_has_the_options_given(tmp_path):
    given = configs.load(["dmc"], ["--steps", "7"])
    assert run_folder.continue_config(given, tmp_path) == (given, [])


def test_a_continued_run_keeps_its_options_except_those_given_now(tmp_path):
    first = configs.load(["dmc", "debug"], ["--steps", "7", "--seed", "3"])
    configs.save(first.config, tmp_path, first.origins)
    now = configs.load([], ["--steps", "9", "--logdir", str(tmp_path)])
    resolved, changes = run_folder.continue_config(now, tmp_path)
    assert resolved.config.steps == 9
    assert resolved.config.seed == 3
    assert resolved.config.dreamer == first.config.dreamer
    assert changes == [("steps", 7, 9)]
    assert resolved.origins["steps"] == "command line"
    assert resolved.origins["seed"] == "earlier start"


def test_a_default_given_by_name_replaces_the_earlier_value(tmp_path):
    first = configs.load([], ["--seed", "3"])
    configs.save(first.config, tmp_path)
    resolved, changes = run_folder.continue_config(configs.load([], ["--seed", "0"]), tmp_path)
    assert resolved.config.seed == 0
    assert changes == [("seed", 3, 0)]


def test_every_start_is_noted(tmp_path):
    run_folder.add_start(tmp_path, 0, 0, 0)
    (tmp_path / "metrics.jsonl").write_text('{"step": 400}\n{"step": 5')
    run_folder.add_start(tmp_path, 500, 400, 300)
    starts = json.loads((tmp_path / "info.json").read_text())
    assert [start["env_frames"] for start in starts] == [0, 500]
    assert [start["saved_frames"] for start in starts] == [0, 400]
    assert [start["evaluated_frames"] for start in starts] == [0, 300]
    # What a killed process left unfinished is cut off before the next line.
    assert [start["metrics_bytes"] for start in starts] == [0, len('{"step": 400}\n')]
    assert lost.read_starts(tmp_path) == starts
    for text in ("[", "{}", "[1]"):
        (tmp_path / "info.json").write_text(text)
        assert lost.read_starts(tmp_path) == []
    assert starts[0]["packages"]["numpy"] == np.__version__
    assert datetime.datetime.fromisoformat(starts[0]["time"]).tzinfo is not None


def test_the_commit_of_a_checkout_and_whether_it_was_changed(tmp_path):
    assert run_folder.git_commit(tmp_path) is None
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "file").write_text("one")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert run_folder.git_commit(tmp_path) == head.stdout.strip()
    (tmp_path / "file").write_text("two")
    assert run_folder.git_commit(tmp_path) == head.stdout.strip() + "-dirty"


def test_new_folders_are_named_after_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configs.load([], ["--task", "gymnasium_a/b-v1", "--seed", "4"]).config
    now = datetime.datetime(2024, 5, 6, 7, 8, 9)
    for ending in ("", "-2", "-3"):
        folder = run_folder.default_folder(config, now)
        assert str(folder) == f"runs/gymnasium_a_b-v1-dreamer-seed4-20240506-070809{ending}"
        folder.mkdir(parents=True)


def test_a_folder_that_another_start_has_just_made_stays(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(RunFolderInUse), run_folder.begun_or_removed(folder):
        folder.mkdir()  # By the other one, which has the lock.
        raise RunFolderInUse
    assert folder.is_dir()
