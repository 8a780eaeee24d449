"""The benchmark: the whole of it at a tiny preset, and the sections that compute something."""

import errno
import json
import math
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest

from dreamer_tf import config as configs
from dreamer_tf import specs
from dreamer_tf.apps.benchmark import commands, measurements, profile
from dreamer_tf.envs import VectorEnv
from dreamer_tf.replay import Replay
from tests.training.counting_agent import CountingAgent, SeededEnv

ROOT = pathlib.Path(__file__).resolve().parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
# The command, with smaller matrices: five products of the usual size take seconds.
COMMAND = """
import sys
from dreamer_tf.apps.benchmark import commands, measurements
measurements.MATMUL_SIZE = 256
commands.benchmark(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What the command printed and saved, and the seconds that it took."""
    path = tmp_path_factory.mktemp("benchmark") / "new" / "figures.json"
    words = ["--configs", "dmc", "debug", "--updates", "3", "--seconds=0.1", "--seed", "7"]
    words += ["--profile", "--run.devices", "2"]
    command = [sys.executable, "-c", COMMAND, *words, "--out", str(path)]
    start = time.monotonic()
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(path.read_text(encoding="utf-8")), seconds, path


def test_every_figure_is_a_finite_positive_number(outcome):
    _, result, _, _ = outcome
    sections = {figure.key.partition(".")[0] for figure in commands.FIGURES}
    measured = {f"{name}.{key}" for name in sections for key in result[name]}
    assert measured == {figure.key for figure in commands.FIGURES}
    for name in sections:
        assert all(math.isfinite(v) and v > 0 for v in result[name].values()), result[name]


def test_what_is_printed_is_what_is_saved(outcome):
    printed, result, _, path = outcome
    assert printed == f"{commands.render(result)}saved in {path}\n"
    assert all(figure.label in printed for figure in commands.FIGURES)


def test_the_result_says_what_was_measured(outcome):
    _, result, _, _ = outcome
    assert result["update"]["count"] == 3
    assert result["options"]["seed"] == 7
    assert result["batch"] == [4, 8]
    assert result["machine"]["cores"] == os.cpu_count()


def test_figures_fit_together(outcome):
    _, result, seconds, _ = outcome
    update, start, arithmetic = (result[name] for name in ("update", "start", "arithmetic"))
    assert update["min_seconds"] <= update["median_seconds"] <= update["max_seconds"]
    assert start["ready_seconds"] < start["built_seconds"] < start["first_update_seconds"]
    assert start["first_update_seconds"] < seconds
    # Tracing alone takes many times as long as one of these updates.
    assert start["first_update_seconds"] - start["built_seconds"] > update["max_seconds"]
    ratio = update["median_seconds"] / arithmetic["floor_seconds"]
    assert arithmetic["ratio_to_floor"] == pytest.approx(ratio)
    # 20 episodes of 50 steps, the row of the beginning included.
    assert result["replay"]["rows"] == 20 * 51


def test_a_profile_says_where_the_time_of_an_update_goes(outcome):
    printed, result, _, _ = outcome
    phases, operations = (result["profile"][key] for key in ("phases", "operations"))
    named = {"world model", "imagination", "behaviour", "optimiser"}
    assert phases.keys() == named | {"other", "host"}
    assert all(phases[phase] > 0 for phase in named)
    # What has no phase are random draws, the batch's way in, and gradients that are written out.
    assert phases["other"] < 3 * sum(phases[phase] for phase in named)
    assert len(operations) == profile.OPERATIONS
    times = [row["milliseconds"] for row in operations]
    assert times == sorted(times, reverse=True) and times[-1] > 0
    assert sum(times) <= sum(phases.values())
    types = "".join(row["type"] for row in operations)  # Where oneDNN computes, they have prefixes.
    assert "MatMul" in types and "Conv2D" in types
    assert all(f"\n{phase} " in printed for phase in phases)


def test_a_gradient_has_the_phase_of_what_it_is_the_gradient_of():
    operations = [
        ("world_model/encoder/MatMul", "MatMul", 0, 3_000_000_000),
        ("gradient_tape/world_model/encoder/MatMul/MatMul", "MatMul", 3_000_000_000, 5_000_000_000),
        ("behaviour/imagination/while/body/_3/MatMul", "MatMul", 2_000_000_000, 4_000_000_000),
        ("StatelessRandomNormalV2", "StatelessRandomNormalV2", 9_000_000_000, 1_000_000_000),
    ]
    result = profile.summarize(operations, seconds=0.025)
    zeros = dict.fromkeys(("behaviour", "optimiser"), 0.0)
    busy = {"world model": 8.0, "imagination": 4.0, "other": 1.0, **zeros}
    assert result["phases"] == pytest.approx(busy | {"host": 16.0})
    assert result["operations"][0] == {
        **{"type": "MatMul", "phase": "world model", "calls": 2},
        "milliseconds": pytest.approx(8.0),
    }


def test_the_document_explains_every_figure():
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert not [figure.key for figure in commands.FIGURES if f"`{figure.key}`" not in text]


def test_an_agent_without_updates_is_refused():
    words = ["--configs", "dmc_proprio", "debug", "--agent", "random"]
    with pytest.raises(configs.ConfigError, match="'random' does not learn"):
        commands.run(configs.parse_args(words), updates=1, seconds=0)


@pytest.mark.parametrize("out", [".", "/dev/null", "/proc/figures.json"])
def test_a_place_where_figures_cannot_be_saved_is_refused_before_they_are_taken(
    out, capsys, monkeypatch
):
    monkeypatch.setattr(commands, "run", lambda *_: pytest.fail("it was measured"))
    monkeypatch.setattr(commands.suite, "run", lambda *_: pytest.fail("it was measured"))
    for words in (["--configs", "debug"], ["--suite"]):
        with pytest.raises(SystemExit) as stop:
            commands.benchmark([*words, "--out", out])
        assert stop.value.code == 2 and "--out " in capsys.readouterr().err


def test_figures_that_cannot_be_saved_are_printed(tmp_path, capsys, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(commands, "run", lambda *_: {})
    monkeypatch.setattr(commands, "render", lambda _: "the figures\n")
    monkeypatch.setattr(commands, "write_json", fail)
    with pytest.raises(SystemExit):
        commands.benchmark(["--configs", "debug", "--out", str(tmp_path / "figures.json")])
    assert capsys.readouterr().out == "the figures\n"


def test_help_names_the_options_of_the_benchmark_and_of_the_config(capsys):
    with pytest.raises(SystemExit) as end:
        commands.benchmark(["--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert all(
        name in printed for name in ("--updates", "--seconds", "--out", "--agent", "--help env")
    )


def test_process_age_counts_from_the_start_of_the_process_and_needs_no_tensorflow():
    code = (
        "import sys, time; from dreamer_tf.apps.benchmark import commands; time.sleep(0.3)\n"
        "print(commands.process_age(), 'tensorflow' in sys.modules)"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    age, loaded = done.stdout.split()
    assert 0.3 < float(age) < time.monotonic() - start + 0.02  # The system counts in 1/100 s.
    assert loaded == "False"


def test_synthetic_rows_lie_in_their_spaces():
    spaces = specs.row_spaces(
        {
            "image": specs.Space(np.uint8, (4, 4, 3)),
            "vector": specs.Space(np.float32, (3,), [-0.5, -np.inf, 2], [0.5, np.inf, 3]),
        },
        {
            "move": specs.Space(np.float32, (2,), -1, 1),
            "choice": specs.Space(np.int32, (2,), 0, [2, 4]),
        },
    )
    rows = measurements.synthetic_rows(spaces, (5, 40), np.random.default_rng(0))
    for key, space in spaces.items():
        assert rows[key].shape == (5, 40, *space.shape)
        for value in rows[key].reshape(200, *space.shape):
            space.check(key, value)
    assert not any(rows[key].any() for key in specs.FLAG_KEYS)
    assert len(np.unique(rows["image"])) == 256


@pytest.fixture
def play(tmp_path):
    """Measures acting and learning of a counting agent for a moment at a given pace."""

    def measure(every, updates):
        options = {"run.train_every": every, "run.train_updates": updates}
        config = configs.load(["debug"], options).config
        with VectorEnv([SeededEnv] * 2, seed=0, workers="inline") as envs:
            spaces = specs.row_spaces(envs.obs_space, envs.act_space)
            replay = Replay(tmp_path / "replay", spaces, capacity=0, seed=0)
            measurements.fill(replay, spaces, steps=5)
            agent = CountingAgent(config, envs.obs_space, envs.act_space)
            figures = measurements.training(agent, envs, replay, config, tmp_path, seconds=0.5)
        assert figures["grad_steps"] == int(agent.updates)
        return figures

    return measure


def test_acting_and_learning_keep_the_pace_of_the_preset(play):
    start = time.perf_counter()
    figures = play(every=8, updates=3.0)
    elapsed = time.perf_counter() - start
    due = figures["env_frames"] * 3 / 8
    # Time may run out before the last update, and fractions of one wait.
    assert figures["grad_steps"] == pytest.approx(due, abs=1)
    assert 0 < figures["env_frames"] / figures["frames_per_second"] < elapsed * (1 + 1 / due)


def test_a_pace_of_rare_updates_counts_a_fraction_of_one(play, monkeypatch):
    train_step = CountingAgent.train_step

    def slow(agent, batch, carry):
        time.sleep(0.1)
        return train_step(agent, batch, carry)

    monkeypatch.setattr(CountingAgent, "train_step", slow)
    often, rare = play(every=1, updates=1.0), play(every=1_000_000, updates=1.0)
    assert rare["grad_steps"] == 1
    assert often["frames_per_second"] < 10 < rare["frames_per_second"]


def test_a_pace_without_updates_is_the_speed_of_acting(play):
    figures = play(every=8, updates=0.0)
    assert figures["grad_steps"] == 0
    assert figures["frames_per_second"] > 0


def test_a_task_without_images_has_no_figure_for_them():
    config = configs.load(["debug"], {"task": "gymnasium_CartPole-v1"}).config
    figures = measurements.environment(config, [], seconds=0.05)
    assert figures["step_with_images_seconds"] is None
    assert figures["step_without_images_seconds"] > 0


def test_what_is_missing_is_shown_as_missing(outcome):
    printed, result, _, _ = outcome
    environment = dict.fromkeys(result["environment"])
    text = commands.render(result | {"environment": environment, "notes": ["no picture"]})
    [line] = [line for line in text.splitlines() if line.startswith("one picture")]
    assert line.split() == ["one", "picture", "–", "ms"]
    assert text.endswith("\n\nno picture\n")


def test_a_task_that_cannot_be_drawn_is_noted():
    notes = []
    config = configs.load(["debug"], {"task": "dmc_walker_walk", "env.camera": 99}).config
    figures = measurements.environment(config, notes, seconds=0.05)
    assert set(figures.values()) == {None}
    assert len(notes) == 2 and "camera 99" in notes[0]


def test_a_machine_that_cannot_render_has_the_other_figures(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disabled")  # Fails at the first image, not before.
    notes = []
    config = configs.load(["debug"], {"task": "dmc_cartpole_balance"}).config
    figures = measurements.environment(config, notes, seconds=0.05)
    assert figures["step_without_images_seconds"] > 0
    assert figures["step_with_images_seconds"] is figures["render_seconds"] is None
    assert [note.partition(":")[0] for note in notes] == [
        "No environment that shows pixels",
        "No picture rendered",
    ]
    assert all("cannot render" in note for note in notes)
