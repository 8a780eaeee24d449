"""The examples run, at tiny sizes."""

import importlib.util
import pathlib

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
TINY = {
    "run.prefill": 60,
    "run.train_every": 20,
    "run.pretrain": 1,
    "run.eval_every": 0,
    "env.workers": "inline",
}


def load(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_dreamerv2_trains_on_an_image_a_vector_and_a_discrete_action(tmp_path):
    example = load("dreamerv2_image_and_vector")
    agent, result = example.main(tmp_path, steps=120, configs=["dreamerv2_cpu", "debug"], **TINY)
    assert agent.obs_space.keys() == {"image", "speed"}
    assert agent.act_space["action"].is_discrete
    assert agent.grad_steps == 1 + (120 - 60) // 20
    assert len(result.returns) == 20 and set(result.returns) <= {-1.0, 1.0}
    obs = example.Catch().reset(seed=0)[0]
    action, _ = agent.policy(obs, mode="eval")
    assert action["action"] in (0, 1, 2)


def test_catch_can_be_won_and_lost():
    env = load("dreamerv2_image_and_vector").Catch()

    def play(choose, seed):
        obs, _ = env.reset(seed)
        assert env.observation_space.contains(obs)
        landed = False
        while not landed:
            obs, reward, landed, cut, _ = env.step(choose())
            assert env.observation_space.contains(obs) and not cut
        return reward

    def towards():
        return 1 + int(np.sign(env.ball - env.paddle))

    scores = [play(towards, seed) for seed in range(20)]
    random = np.random.default_rng(0)
    assert np.mean(scores) > 0.9
    assert np.mean([play(lambda: random.integers(3), seed) for seed in range(100)]) < 0


def test_coverage_counts_each_cell_once(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason='pip install "dreamer-tf[figures]"')
    example = load("cartpole_coverage")
    angle = np.array([np.pi, np.pi, 0.01, 0.01, 2.0])
    speed = np.array([0.1, 0.2, 0.1, 9.0, 0.1])
    np.testing.assert_array_equal(example.coverage(angle, speed), [1, 1, 2, 3, 4])

    for name, turn in (("still", np.full(4, np.pi)), ("swinging", np.array([3.0, 2.0, 1.0, 0.0]))):
        run = tmp_path / name
        (run / "replay").mkdir(parents=True)
        (run / "config.yaml").write_text("env:\n  action_repeat: 4\n")
        position = np.stack([np.zeros(4), np.cos(turn), np.sin(turn)], axis=1)
        for half in range(2):
            rows = slice(2 * half, 2 * half + 2)
            np.savez(
                run / "replay" / f"{half}.npz",
                position=position[rows],
                velocity=np.zeros((2, 2)),
                reward=np.cos(turn[rows]) == 1,
            )
    runs = [f"{name}={tmp_path / name}" for name in ("still", "swinging")]
    example.main([*runs, "--out", str(tmp_path / "coverage.png")])
    assert (tmp_path / "coverage.png").is_file()
    assert capsys.readouterr().out.splitlines() == [
        "still: after 16 frames 1 of 576 cells, upright in 0.00% of the rows, reward 0",
        "swinging: after 16 frames 4 of 576 cells, upright in 25.00% of the rows, reward 1",
    ]
