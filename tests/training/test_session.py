"""What runs where no presets are given, who is told that a run has ended, and its seeds."""

import random

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import config
from dreamer_tf.specs import Space
from dreamer_tf.training import session, sizes
from dreamer_tf.training.session import derive_seed, seed_libraries
from tests.training.conftest import SMALL
from tests.training.counting_agent import RememberingAgent, SeededEnv

VECTOR = {"position": Space(np.float32, (3,))}
IMAGE = VECTOR | {"image": Space(np.uint8, (64, 64, 3))}
OPTIONS = {
    "env.workers": "inline",
    "replay.batch_size": 2,
    "replay.batch_length": 4,
    "run.train_ratio": 8,
    "run.eval_every": 0,
    "run.checkpoint_every": 0,
}


@pytest.mark.parametrize(
    ("obs_space", "on_gpu", "preset"),
    [
        (VECTOR, False, "dreamerv3_quick"),
        (IMAGE, False, "dreamerv3_quick"),
        (VECTOR, True, "size12m"),
        (IMAGE, True, "size50m"),
    ],
)
def test_the_size_suits_machine_and_observations(obs_space, on_gpu, preset):
    assert sizes.suitable_size(obs_space, on_gpu)[0] == preset


@pytest.mark.parametrize("preset", ["dreamerv3_quick", "size12m", "size50m"])
def test_the_size_leaves_alone_what_has_begun_when_it_is_chosen(preset):
    base = config.load([config.OWN_ENV_PRESET])
    changes = config.differences(base.config, config.add_preset(base, preset).config)
    assert {key.split(".")[0] for key, *_ in changes} <= {"replay", "run", "dreamerv3"}


def test_without_presets_dreamerv3_learns_and_the_run_says_so(agents, tmp_path, capsys):
    agents.make.kind = RememberingAgent
    dreamer_tf.train(SeededEnv, logdir=tmp_path, steps=40, **OPTIONS)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    presets = [config.OWN_ENV_PRESET, sizes.suitable_size({}, on_gpu)[0]]
    shown = capsys.readouterr().out
    assert f"the same as --configs {' '.join(presets)}\n" in shown
    assert "updates: " in shown and " 1,000,000 frames in " in shown
    overrides = OPTIONS | {"task": "SeededEnv", "steps": 40, "logdir": str(tmp_path)}
    assert config.read(tmp_path) == config.load(presets, overrides).config

    # The folder knows the rest.
    dreamer_tf.train(SeededEnv, logdir=tmp_path, steps=60)
    assert "--configs" not in capsys.readouterr().out
    assert config.read(tmp_path) == config.load(presets, overrides | {"steps": 60}).config


def test_functions_at_the_end_are_called_in_turn_and_none_ends_the_run(agents, tmp_path, capsys):
    overrides = SMALL | {"steps": 20, "logdir": str(tmp_path)}
    called = []

    def look(folder, tell):
        called.append((folder, sorted(path.name for path in (folder / "checkpoints").iterdir())))
        tell("looked")

    def fail(folder, tell):
        raise RuntimeError("no paper")

    run = session.run(config.load([], overrides), SeededEnv, at_end=[fail, look])
    assert run.agent is agents.made[0]
    assert called == [(tmp_path, ["00001-frames20-updates0"])]
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"saved in {tmp_path}",
        "fail failed (RuntimeError: no paper); the run is whole",
        "looked",
    ]
    # The report is the commands' own.
    assert not (tmp_path / "report.html").exists()


# ---- Seeds for the parts of a run.


def test_derived_seeds_differ_by_name_and_seed_and_stay():
    seeds = {derive_seed(seed, name) for seed in range(50) for name in ("envs", "replay", "agent")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "replay") == derive_seed(0, "replay")


def test_a_run_leaves_the_generators_of_its_caller_alone(tmp_path):
    states = random.getstate(), np.random.get_state()
    overrides = {"agent": "random", "steps": 20, "run.prefill": 0, "logdir": str(tmp_path)}
    session.run(config.load([], overrides), SeededEnv, quiet=True)
    assert random.getstate() == states[0]
    np.testing.assert_equal(np.random.get_state(), states[1])


def test_seeding_reaches_every_library():
    draws = []
    for seed in (1, 1, 2):
        seed_libraries(seed)
        draws.append((random.random(), np.random.rand(), float(tf.random.normal([]))))
    assert draws[0] == draws[1]
    assert all(a != b for a, b in zip(draws[0], draws[2], strict=True))
