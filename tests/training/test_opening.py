"""What a start refuses, and that it changes nothing before; what damage to small files it mends."""

import json
import os
import shutil
import subprocess

import numpy as np
import pytest

import dreamer_tf
from dreamer_tf import config as configs
from dreamer_tf.apps.figures.run_folders import read_run_folder
from dreamer_tf.envs import EnvError
from dreamer_tf.replay import WrongSpacesError
from dreamer_tf.runs.errors import (
    CheckpointError,
    CheckpointMismatchError,
    NoWholeCheckpointError,
    RunFolderError,
)
from dreamer_tf.specs import Space
from dreamer_tf.training import hosts
from tests.counting import CountingEnv
from tests.training.counting_agent import CountingAgent, SeededEnv


class Fails(dreamer_tf.Callback):
    """As one that cannot reach its server."""

    def on_start(self, run):
        raise LookupError("no login")


class OtherEnv(SeededEnv):
    """Another task with the same spaces."""


class StretchedEnv(SeededEnv):
    """Takes other numbers for the same actions."""

    native_act_space = {"action": Space(np.float32, (2,), -2, 2)}


class WiderEnv(CountingEnv):
    """Another task with other observations."""

    def __init__(self):
        super().__init__(image=True)


class LargerAgent(CountingAgent):
    """Of another size."""

    def __init__(self, *args):
        super().__init__(*args)
        self.weight = type(self.weight)(np.zeros(4, np.float32), name="weight")


def contents(folder):
    """Every file of a run folder but the lock, with its bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "trainer.lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Where the folder of a short run is kept, once there is one."""
    return tmp_path_factory.mktemp("template") / "run"


@pytest.fixture
def begun(run, template, tmp_path):
    """The folder of a run of 60 frames with two checkpoints, for `run` to continue."""
    folder = tmp_path / "run"
    if not template.exists():
        run(steps=45)
        run(steps=60)
        shutil.copytree(folder, template)
    else:
        shutil.copytree(template, folder)
    return folder


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (RunFolderError, "capacity 20 would delete the oldest .*delete_episodes", {}),
        (RunFolderError, "learns 'SeededEnv', and 'OtherEnv' is.*new_task", {"env": OtherEnv}),
        (
            CheckpointMismatchError,
            r"\(3,\).*\(4,\)",
            {"kind": LargerAgent, "run.delete_episodes": True},
        ),
        (WrongSpacesError, "image", {"env": WiderEnv, "run.new_task": True}),
        (RunFolderError, "has the seed 0, and with 1 it is another run.*--seed 0", {"seed": 1}),
        (configs.ConfigError, r"callbacks are objects: Fails\(\), not", {"callbacks": [Fails]}),
        (RunFolderError, "and with 'random' it is.* --agent dreamer", {"agent": "random"}),
        (
            EnvError,
            "action 'action' .* is .*-2 to 2.*, and was .*-1 to 1.*\n.*would not hold.*new_task",
            {"env": lambda: StretchedEnv(), "run.delete_episodes": True},
        ),
    ],
)
def test_a_refused_start_changes_nothing(run, agents, begun, error, message, options):
    (begun / "scores.json").write_text("[")  # Nor is damage mended then.
    before = contents(begun)
    agents.make.kind = options.pop("kind", CountingAgent)
    with pytest.raises(error, match=message):
        run(**{"replay.capacity": 20, **options})
    assert contents(begun) == before


def test_an_error_before_the_first_step_cuts_no_episode(run, begun):
    before = contents(begun)
    with pytest.raises(LookupError, match="no login"):
        run(steps=70, callbacks=[Fails()])
    for name, content in contents(begun).items():
        if name.startswith(("checkpoints", "replay")):
            assert content == before[name], name


@pytest.mark.parametrize(
    ("name", "value", "own"), [("hosts", "slurm", "tf_config"), ("devices", 2, 1)]
)
def test_what_all_processes_must_be_told_is_not_taken_from_the_folder(
    run, begun, monkeypatch, name, value, own
):
    key = f"run.{name}"
    config = configs.load([str(begun / "config.yaml")], {key: value}).config
    configs.save(config, begun)
    before = contents(begun)

    def start_team(*_):
        raise InterruptedError("it began")

    monkeypatch.setattr(hosts, "start_team", start_team)
    if name == "devices":
        told = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(told))
    words = f"repeat --run.{name} {value} for every process, or give --run.{name} {own} to go on"
    with pytest.raises(configs.ConfigError, match=words):
        run(steps=70)
    assert contents(begun) == before
    with pytest.raises(InterruptedError):
        run(steps=70, **{key: own})


def test_episodes_are_deleted_once_that_is_confirmed(run, begun):
    before = len(list((begun / "replay").iterdir()))
    run(steps=70, **{"replay.capacity": 20, "run.delete_episodes": True})
    assert len(list((begun / "replay").iterdir())) < before - 3
    assert "delete_episodes" not in (begun / "config.yaml").read_text()
    # It held for one start only, and a run that stays as it is needs no further one.
    run(steps=80)
    with pytest.raises(RunFolderError, match="delete_episodes"):
        run(steps=90, **{"replay.capacity": 8})


def test_a_capacity_that_deletes_little_needs_no_second_word(run, begun):
    rows = sum(int(path.name.split("-")[1]) for path in (begun / "replay").glob("*.npz"))
    run(steps=61, **{"replay.capacity": rows - 1})
    assert len(list((begun / "replay").glob("*.npz"))) > 2


def test_another_task_goes_on_where_wanted_with_curves_of_its_own(run, begun):
    old = json.loads((begun / "scores.json").read_text())
    best = {"checkpoint": "00001-frames60-updates1", "score": 1e9}
    (begun / "best.json").write_text(json.dumps(best))
    agent = run(env=OtherEnv, steps=100, **{"run.new_task": True})
    [entry] = json.loads((begun / "scores.json").read_text())
    assert entry["task"] == "OtherEnv" and min(entry["xs"]) > 60
    steps = [json.loads(line)["step"] for line in (begun / "metrics.jsonl").open()]
    assert min(steps) > 60
    [apart] = (begun / "earlier").iterdir()
    assert apart.name == "SeededEnv-until-60"
    assert json.loads((apart / "scores.json").read_text()) == old
    assert json.loads((apart / "best.json").read_text()) == best
    assert json.loads((begun / "best.json").read_text())["score"] == max(entry["ys"])
    kept = read_run_folder(apart)
    assert kept.settings["task"] == "SeededEnv" and kept.env_frames == 60
    # Agent and replay went on.
    assert int(agent.updates) > 20 and len(list((begun / "replay").glob("*.npz"))) > 10
    run(env=OtherEnv, steps=105)
    with pytest.raises(RunFolderError, match="learns 'OtherEnv'"):
        run(steps=110)


def test_another_name_of_the_agent_is_no_other_agent(run, begun):
    run(steps=65, agent="dreamer_tf.agents:Dreamer")
    run(steps=70, agent="elsewhere:Dreamer")
    assert "agent: elsewhere:Dreamer" in (begun / "config.yaml").read_text()
    shutil.rmtree(begun / "checkpoints")
    run(steps=75, agent="random")


def test_a_lambda_has_no_name_that_could_be_another_task(run, begun):
    run(env=lambda: SeededEnv(), steps=65)
    run(env="tests.training.counting_agent:SeededEnv", steps=70)
    # What is known of it stays known.
    for env in (lambda: SeededEnv(), SeededEnv):
        run(env=env, steps=75)
        assert configs.read(begun).task == "tests.training.counting_agent:SeededEnv"
    with pytest.raises(RunFolderError, match="'dmc_walker_walk' is another task"):
        dreamer_tf.train("dmc_walker_walk", logdir=begun)


def damage(text):
    """Function that makes a file hold a text."""
    return lambda path: path.write_text(text)


def dangle(path):
    """Makes a file a link to nothing."""
    path.unlink()
    path.symlink_to("nowhere/at/all")


def replace_by_folder(path):
    """Makes a file a folder."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("names", [("scores.json", "info.json", "spaces.json"), ("metrics.jsonl",)])
@pytest.mark.parametrize("break_it", [damage('[{"xs": '), dangle, replace_by_folder])
def test_damaged_small_files_are_set_aside_and_made_anew(run, begun, caplog, names, break_it):
    curve = json.loads((begun / "scores.json").read_text())[0]["xs"]
    for name in names:
        break_it(begun / name)
    run(steps=90)
    assert "scores.json is damaged" in caplog.text or names == ("metrics.jsonl",)
    assert dreamer_tf.load(begun)
    starts = json.loads((begun / "info.json").read_text())
    assert [start["env_frames"] for start in starts][-1] == 60
    assert json.loads((begun / "scores.json").read_text())[0]["xs"][: len(curve)] == curve
    assert max(json.loads(line)["step"] for line in (begun / "metrics.jsonl").open()) == 90


@pytest.mark.parametrize("text", ["", "{}", '{"observations": [1]}'])
def test_damaged_spaces_are_explained_to_readers(begun, text):
    (begun / "spaces.json").write_text(text)
    with pytest.raises(RunFolderError, match="spaces.json is damaged.*Continue the run"):
        dreamer_tf.load(begun)


def test_an_empty_config_does_not_become_the_defaults(run, begun):
    (begun / "config.yaml").write_text("")
    with pytest.raises(RunFolderError, match=r"config\.yaml in .* is empty"):
        run()


def test_a_config_in_another_encoding_is_explained(run, begun):
    with (begun / "config.yaml").open("ab") as file:
        file.write(b"# caf\xe9\n")
    with pytest.raises(configs.ConfigError, match=r"config\.yaml is not valid YAML"):
        run()


def test_without_a_whole_checkpoint_a_run_goes_on_only_where_wanted(run, begun):
    for path in (begun / "checkpoints").iterdir():
        os.truncate(path / "state.json", 3)
    before = contents(begun)
    with pytest.raises(NoWholeCheckpointError, match=r"all 3 are damaged.*run\.start_anew"):
        run()
    assert contents(begun) == before
    agent = run(steps=61, **{"run.start_anew": True})
    names = sorted(path.name for path in (begun / "checkpoints").iterdir())
    damaged = [name.endswith(".damaged") for name in names]
    assert damaged[:3] == [True] * 3 and len(damaged) > 3 and not any(damaged[3:])
    assert "-frames61-" in names[-1] and int(agent.updates) < 20
    assert "start_anew" not in (begun / "config.yaml").read_text()


def test_a_disk_that_fails_sets_no_checkpoint_aside(run, begun):
    newest = max((begun / "checkpoints").iterdir())
    (newest / "state.json").rename(begun / "kept")
    (newest / "state.json").symlink_to("/proc/self/mem")  # Reading it is an input/output error.
    with pytest.raises(CheckpointError, match="nput/output error"):
        run()
    assert newest.is_dir()
    (begun / "kept").replace(newest / "state.json")
    run(steps=65)


@pytest.mark.parametrize(
    "place", ["file", "file/below", "x" * 300, "/proc/nothing/below", "/dev/null", "read_only/run"]
)
def test_a_folder_that_cannot_be_used_is_one_clear_error(run, tmp_path, place, request):
    (tmp_path / "file").touch()
    if place.startswith("read_only"):
        request.getfixturevalue("read_only")
    with pytest.raises(RunFolderError, match="cannot be used as a run folder: [A-Z]"):
        run(place)


@pytest.fixture
def read_only(tmp_path):
    """A folder ``read_only`` that nobody can write into."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield
    elif subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a system that lets root mount nothing")
    else:
        yield
        subprocess.run(["umount", str(folder)], check=True)


def test_an_inline_environment_that_changes_directory_moves_no_file(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    class Walking(SeededEnv):
        def __init__(self):
            super().__init__()
            os.chdir(tmp_path / "elsewhere")

    dreamer_tf.train(Walking, logdir="own", **SHORT)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert (tmp_path / "own" / "checkpoints").is_dir()
    assert (tmp_path / "own" / "trainer.lock").is_file()


SHORT = {"agent": "random", "steps": 20, "env.workers": "inline", "run.eval_every": 0}


def test_what_a_killed_trainer_was_writing_is_cleared_away(run, begun):
    (begun / "videos").mkdir(exist_ok=True)
    mine = [begun / "notes.tmp", begun / "videos" / "partial.mp4"]
    left = [".tmp-000000040-eval.mp4", ".partial-000000040-eval.mp4"]
    rubbish = [begun / "scores.json.tmp", *(begun / "videos" / name for name in left)]
    for path in (*mine, *rubbish):
        path.write_text("half")
    run(steps=61)
    assert all(path.exists() for path in mine) and not any(path.exists() for path in rubbish)
