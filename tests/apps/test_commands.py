"""The commands: what they print, and their exit codes."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from ruamel.yaml import YAML

import dreamer_tf
from dreamer_tf.apps import api, commands
from dreamer_tf.common import number
from dreamer_tf.export import saved_model
from dreamer_tf.export.errors import ExportError
from dreamer_tf.runs import forecast
from dreamer_tf.runs.run_folder import RunFolderLock
from dreamer_tf.training import session
from tests.limits import files_of_at_most

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["--configs", "dmc_proprio", "debug", "--run.eval_every", "0"]


def failure(capsys, code, function, *words):
    """Runs a command that must end with an exit code; returns its message, one line."""
    with pytest.raises(SystemExit) as raised:
        function([str(word) for word in words])
    message = capsys.readouterr().err
    assert raised.value.code == code, message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--configs", "dcm"], ["dcm", "dmc"]),
        (["--dreamer.rsm.deter", "5"], ["dreamer.rsm.deter", "dreamer.rssm.deter"]),
        (["--run.prefil", "5"], ["run.prefil", "run.prefill"]),
        (["--steps", "many"], ["steps", "int", "many"]),
        (["--env.image_size", "64"], ["env.image_size", "int,int"]),
        (["--agent", "dreemer"], ["dreemer", "dreamer"]),
        (["--task", "dmc_walker_wlak"], ["dmc_walker_wlak", "dmc_walker_walk"]),
        (["--task", "walker_walk"], ["walker_walk", "dmc_"]),
        (["--task", "gymnasium_Pendulm-v1"], ["gymnasium_Pendulm-v1", "gymnasium_Pendulum-v1"]),
        (["--task", "gymnasium_tests.apps.broken_envs:Text-v0"], ["Text"]),
        (["--task", "gymnasium_tests.apps.broken_envs:NaN-v0"], ["'speed'", "NaN"]),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2_and_says_what_could(capsys, tmp_path, words, parts):
    message = failure(capsys, 2, commands.train, *TINY, *words, "--logdir", tmp_path)
    for part in parts:
        assert part in message


@pytest.mark.parametrize("words", [["--task", "dmc_walker_wlak"], ["--replay.carry", "true"]])
def test_a_refused_start_leaves_no_folder(capsys, tmp_path, words):
    words = ["--task", "gymnasium_Pendulum-v1", "--env.action_repeat", "1", *words]
    folder = tmp_path / "runs" / "mine"
    failure(capsys, 2, commands.train, *TINY, *words, "--logdir", folder)
    assert list(tmp_path.iterdir()) == []
    (folder / "notes").mkdir(parents=True)
    failure(capsys, 2, commands.train, *TINY, *words, "--logdir", folder)
    assert (folder / "notes").is_dir(), "what was there before stays"


def test_print_config_shows_what_a_run_would_do(capsys, trained):
    with pytest.raises(SystemExit):
        commands.train(["--logdir", str(trained), "--steps", "300", "--print_config"])
    shown = [line.split(maxsplit=2) for line in capsys.readouterr().out.splitlines()]
    shown = {key: (value, origin) for key, value, origin in shown}
    assert shown["task"] == ("gymnasium_Pendulum-v1", f"preset {trained / 'config.yaml'}")
    assert shown["steps"] == ("300", "command line")


def test_a_folder_in_use_is_refused(capsys, tmp_path):
    with RunFolderLock(tmp_path):
        message = failure(capsys, 2, commands.train, *TINY, "--logdir", tmp_path)
    assert f"{tmp_path} is in use by process" in message


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of a short run of a tiny Dreamer."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["--task", "gymnasium_Pendulum-v1", "--env.action_repeat", "1", "--steps", "220"]
    commands.train([*TINY, *words, "--logdir", str(folder)])
    return folder


def test_a_run_leaves_what_the_documentation_says(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *("config.yaml", "info.json", "spaces.json", "trainer.lock", "metrics.jsonl"),
        *("scores.json", "tensorboard", "checkpoints", "replay", "report.html"),
    }
    [start] = json.loads((trained / "info.json").read_text())
    assert start["packages"]["tensorflow"] and start["env_frames"] == 0
    assert start["machine"]["cores"] == os.cpu_count()
    assert start["git"] is None or len(start["git"].removesuffix("-dirty")) == 40


def test_another_model_size_is_refused_and_leaves_the_config_as_it_was(capsys, trained):
    before = (trained / "config.yaml").read_text()
    words = ["--logdir", trained, "--dreamer.rssm.deter", 24]
    message = failure(capsys, 2, commands.train, *words)
    assert "another agent" in message and "(20, 16)" in message and "(28, 16)" in message
    assert (trained / "config.yaml").read_text() == before


def test_another_task_is_refused(capsys, trained):
    words = ["--logdir", trained, "--task", "gymnasium_MountainCarContinuous-v0"]
    message = failure(capsys, 2, commands.train, *words)
    assert str(trained) in message


def test_a_complete_run_says_so(capsys, trained):
    commands.train(["--logdir", str(trained)])
    assert "all 220 frames are collected; --steps asks for more" in capsys.readouterr().out


def test_evaluate_prints_the_mean_of_the_same_episodes_for_the_same_seed(capsys, trained):
    outputs = []
    for seed in (3, 3, 4):
        commands.evaluate(["--logdir", str(trained), "--episodes", "2", "--seed", str(seed)])
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] != outputs[2]
    assert outputs[0].startswith("return -")
    assert "standard deviation of 2 episodes" in outputs[0]


def test_a_checkpoint_that_is_not_there_is_named(capsys, trained):
    for command, words in (commands.evaluate, []), (commands.export, ["--out", trained / "new"]):
        words = ["--logdir", trained, "--checkpoint", "100", *words]
        message = failure(capsys, 2, command, *words)
        assert "has no checkpoint '100'; there are those at " in message and "220" in message


def test_evaluate_and_export_may_act_otherwise_with_the_same_weights(capsys, trained, tmp_path):
    words = ["--logdir", str(trained), "--episodes", "1", "--seed", "3"]
    planner = ["--dreamer.policy", "planner", "--dreamer.planner.temperature=0"]
    outputs = []
    for acting in ([], planner, planner):
        commands.evaluate([*words, *acting])
        outputs.append(capsys.readouterr().out)
    assert outputs[0] != outputs[1] == outputs[2]
    out = ["--logdir", trained, "--out", tmp_path / "policy", "--no_litert"]
    commands.export([str(word) for word in [*out, *planner]])
    manifest = json.loads((tmp_path / "policy" / "export.json").read_text())
    assert manifest["state"]["state_plan"]["shape"] == [3, 1]


def test_a_card_has_all_that_can_be_exported(trained, tmp_path, capsys):
    words = ["--logdir", str(trained), "--out", str(tmp_path / "card"), "--card", "--no_litert"]
    with pytest.raises(SystemExit):
        commands.export(words)
    assert "--no_litert is for an export without a card" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("license", "mit"), ("episodes", 3), ("env", "mine:Env")]
)
def test_what_a_card_alone_needs_is_not_dropped_without_one(capsys, tmp_path, option, value):
    words = ["--logdir", tmp_path, "--out", tmp_path / "new", f"--{option}", value]
    message = failure(capsys, 2, commands.export, *words)
    assert f"--{option} is for a card: add --card, or leave it out" in message


@pytest.mark.parametrize(
    ("returns", "shown"),
    [
        ((0.04, 0.015, 0.93), "return 0.04 ± 0.015"),
        ((965.3, 12.25, 2965.3), "return 965.3 ± 12.25"),
        ((-1234.56, 0.0, 21070.0), "return -1,234.6 ± 0"),
    ],
)
def test_small_returns_are_not_rounded_away(capsys, monkeypatch, tmp_path, returns, shown):
    mean, std, high = returns
    outcome = api.Evaluation([mean, high], [5, 5], mean, std, None)
    monkeypatch.setattr(api, "evaluate", lambda *args, **options: outcome)
    commands.evaluate(["--logdir", str(tmp_path)])
    said = f"{shown} (mean ± standard deviation of 2 episodes, {number(mean)} to {number(high)})"
    assert capsys.readouterr().out == said + "\n"
    results = {"mean": mean, "std": std}
    monkeypatch.setattr(api, "publish", lambda *args, **options: (tmp_path, results))
    commands.export(["--logdir", str(tmp_path), "--out", str(tmp_path), "--card"])
    assert capsys.readouterr().out.splitlines()[0] == shown


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--dreamer.rssm.deter", "4"], ["dreamer.rssm.deter cannot change", "dreamer.policy"]),
        (["--dreamerv3.policy", "planner"], ["dreamerv3.policy", "which is dreamer"]),
        (["--dreamer.polici", "planner"], ["dreamer.polici", "dreamer.policy"]),
        (["--dreamer.planner.elites", "9", "--dreamer.policy", "planner"], ["9", "8 candidates"]),
        (["--epsiodes", "3"], ["unrecognized", "--epsiodes"]),
    ],
)
def test_evaluate_refuses_what_is_more_than_how_to_act(capsys, trained, words, parts):
    message = failure(capsys, 2, commands.evaluate, "--logdir", trained, *words)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--logdir", "nowhere"], "nowhere"),
        (["--logdir", "nowhere", "--video", "film.avi"], ".mp4"),
        (["--logdir", "nowhere", "--episodes", "0"], "at least 1"),
        (
            ["--logdir", "nowhere", "--task", "a", "--env", "b:C"],
            "not allowed with argument --task",
        ),
        (["--logdir=~/nowhere"], os.path.expanduser("~/nowhere")),
    ],
)
def test_evaluate_refuses_what_it_cannot_do(capsys, words, part):
    assert part in failure(capsys, 2, commands.evaluate, *words)


def test_a_video_that_cannot_be_written_does_not_hide_the_returns(capsys, caplog, trained):
    film = ["--video", "/proc/nothing/film.mp4"]
    commands.evaluate(["--logdir", str(trained), "--episodes", "1", *film])
    assert capsys.readouterr().out.startswith("return -")
    assert "no video" in caplog.text


def test_a_full_disk_is_exit_code_1_and_the_run_can_go_on(capsys, tmp_path):
    words = ["--agent", "random", "--task", "gymnasium_Pendulum-v1", "--env.action_repeat", "1"]
    words = [*TINY, *words, "--logdir", str(tmp_path), "--env.workers", "inline"]
    with files_of_at_most(2000):
        message = failure(capsys, 1, commands.train, *words)
    assert "make room" in message
    commands.train([*words, "--steps", "200"])


@pytest.mark.parametrize("name", ["train.py", "evaluate.py", "export.py", "benchmark.py"])
def test_the_scripts_show_help_without_tensorflow(name):
    command = [sys.executable, "-X", "importtime", str(ROOT / "scripts" / name), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "--logdir" in done.stdout
    assert "tensorflow" not in done.stderr


def test_output_that_nobody_reads_is_no_traceback():
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--help"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """Export of the tiny Dreamer by the command, with all that it may hold."""
    folder = tmp_path_factory.mktemp("exported") / "policy"
    commands.export(["--logdir", str(trained), "--out", str(folder)])
    return folder


def load_example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_export_writes_what_the_documentation_says(trained, exported):
    names = {path.name for path in exported.iterdir()}
    assert names >= {"saved_model.pb", "variables", "export.json", "README.md"}
    assert names >= {"weights", "policy.tflite"}
    manifest = json.loads((exported / "export.json").read_text())
    assert manifest["task"] == "gymnasium_Pendulum-v1"
    action = manifest["actions"]["action"]
    assert (action["low"], action["high"]) == ("-2.0", "2.0")
    native = dreamer_tf.load(trained).native_act_space["action"]
    assert (native.low, native.high) == (-2, 2)


def test_the_example_plays_an_export(exported, capsys):
    example = load_example("play_export")
    env = gymnasium.make("Pendulum-v1", max_episode_steps=20)
    policy = example.Policy(exported)
    returns = example.play(policy, env, episodes=2)
    assert len(returns) == 2 and max(returns) < 0
    with pytest.raises(SystemExit, match="the policy sees 'vector' as float32 \\[3\\]"):
        example.play(policy, gymnasium.make("CartPole-v1"))


def test_the_serving_example_speaks_the_rest_form(exported):
    """Its requests, answered by the signatures as a server would."""
    signatures = tf.saved_model.load(str(exported)).signatures

    def server(url, body):
        assert url == "http://host:1/v1/models/policy:predict"
        request = json.loads(body)
        assert request.keys() == {"signature_name", "inputs"}
        function = signatures[request["signature_name"]]
        specs = function.structured_input_signature[1]
        inputs = {name: tf.constant(x, specs[name].dtype) for name, x in request["inputs"].items()}
        answer = {name: x.numpy().tolist() for name, x in function(**inputs).items()}
        return json.dumps({"outputs": answer}).encode()

    policy = load_example("serve_export").RemotePolicy("http://host:1/v1/models/policy", server)
    state, obs = policy.initial_state(2), np.ones([2, 3], np.float32)
    direct = signatures["initial_state"](batch_size=tf.constant(2))
    for step in range(3):
        is_first = [step == 0, True]
        actions, state = policy.act({"vector": obs}, state, is_first)
        answer = signatures["act"](vector=obs, **direct, is_first=tf.constant(is_first))
        direct = {name: x for name, x in answer.items() if name.startswith("state_")}
        np.testing.assert_allclose(actions["action"], answer["action"], rtol=1e-4, atol=1e-5)


def test_evaluate_plays_an_export_and_refuses_other_observations(capsys, exported):
    commands.evaluate(["--logdir", str(exported), "--episodes", "1", "--seed", "3"])
    assert capsys.readouterr().out.startswith("return -")
    words = ["--logdir", exported, "--task", "gymnasium_MountainCarContinuous-v0"]
    message = failure(capsys, 2, commands.evaluate, *words)
    assert str(exported) in message and "observations" in message
    assert "(3,)" in message and "(2,)" in message


def test_a_card_holds_results_and_loads_back(capsys, trained, tmp_path):
    out = tmp_path / "pendulum"
    words = ["--logdir", trained, "--out", out, "--card", "--episodes", 2, "--license", "mit"]
    commands.export([str(word) for word in words])
    shown = capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert shown.startswith(f"return {number(results['mean'])} ± ") and str(out) in shown
    _, header, text = (out / "README.md").read_text().split("---\n", 2)
    about = YAML(typ="safe").load(header)
    assert about["library_name"] == "dreamer-tf" and about["license"] == "mit"
    assert about["pipeline_tag"] == "reinforcement-learning"
    [[index]] = [model["results"] for model in about["model-index"]]
    assert index["dataset"]["type"] == "gymnasium_Pendulum-v1"
    [metric] = index["metrics"]
    assert metric["value"] == f"{results['mean']:.2f} +/- {results['std']:.2f}"
    assert "after 220 frames and " in text and "policy.tflite" in text
    assert str(trained) not in text + (out / "config.yaml").read_text()

    agent = dreamer_tf.load(out)
    for name, network in dreamer_tf.load(trained).networks.items():
        for mine, theirs in zip(agent.networks[name].weights, network.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    whole, exported = (dreamer_tf.evaluate(path, 1, seed=3) for path in (out, out / "policy"))
    assert len(whole.returns) == len(exported.returns) == 1
    assert "is there already" in failure(capsys, 2, commands.export, *words)


@pytest.mark.parametrize("missing", ["all", "checkpoint"])
def test_export_refuses_what_is_no_trained_run(capsys, trained, tmp_path, missing):
    if missing == "checkpoint":
        for name in ("config.yaml", "spaces.json"):
            (tmp_path / name).write_bytes((trained / name).read_bytes())
    words = ["--logdir", tmp_path, "--out", tmp_path / "policy"]
    message = failure(capsys, 2, commands.export, *words)
    assert str(tmp_path) in message
    assert ("no whole checkpoint" in message) == (missing == "checkpoint")
    assert not (tmp_path / "policy").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300, "/proc/nothing/below"])
def test_what_cannot_be_written_is_one_line(capsys, tmp_path, place):
    (tmp_path / "file").touch()
    words = ["--configs", "dmc_proprio", "--logdir", tmp_path / place]
    message = failure(capsys, 2, commands.train, *words)
    assert "cannot be used as a run folder" in message and message.count("\n") == 1
    with pytest.raises(ExportError, match="cannot be written: [A-Z]|is there already"):
        saved_model.write(None, tmp_path / place)


def test_the_defaults_say_before_they_begin_that_they_take_days(capsys, tmp_path, monkeypatch):
    assert 1e8 < forecast._operations_per_second() < 1e17
    monkeypatch.setattr(forecast, "_operations_per_second", lambda: 3e10)  # Of any machine.
    monkeypatch.setattr(session, "_assemble", _only_introduce(session._assemble))
    with pytest.raises(_EnoughError):
        words = ["--task", "gymnasium_Pendulum-v1", "--env.action_repeat", "1"]
        commands.train([*words, "--agent", "dreamer", "--logdir", str(tmp_path / "run")])
    shown = capsys.readouterr().out
    assert re.search(r"this is long: 500,000 updates for 5,000,000 frames take [\d.]+ days", shown)


class _EnoughError(Exception):
    """Ends a run after it has introduced itself."""


def _only_introduce(assemble):
    def stop(*args, **kwargs):
        assemble(*args, **kwargs)
        raise _EnoughError

    return stop


def test_warnings_of_a_command_are_plain_lines():
    code = (
        "import logging\n"
        "from absl import logging as of_tensorflow\n"
        "from dreamer_tf.apps.commands import exit_codes\n"
        "with exit_codes():\n"
        "    of_tensorflow.info('a checkpoint is written')\n"
        "    logging.getLogger('dreamer_tf.envs').warning('images are resized')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "images are resized\n"


def test_an_export_may_be_made_where_one_stands(capsys, trained, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    commands.export(["--logdir", str(trained), "--out", ".", "--no_litert"])
    assert capsys.readouterr().out.endswith("exported to .\n")
    assert {"saved_model.pb", "config.yaml"} <= {path.name for path in pathlib.Path().iterdir()}
    assert (tmp_path / "here").samefile(".") and len(list(tmp_path.iterdir())) == 1


def test_export_does_not_write_over_other_files(capsys, trained):
    words = ["--logdir", trained, "--out", trained]
    assert "is there already" in failure(capsys, 2, commands.export, *words)
