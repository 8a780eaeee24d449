"""What docs/architecture.md says can be added, added from outside the package: a toy of each kind.

One run has all three: a family of environments, an objective of DreamerV3 without a decoder, and a
logger.
"""

import importlib
import json
import pathlib
import re

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf import agents, envs
from dreamer_tf import config as configs
from dreamer_tf.envs import registry
from dreamer_tf.runs.writers import Writer
from tests.counting import CountingEnv

ROOT = pathlib.Path(__file__).resolve().parents[1]
SMALL = {
    "run.prefill": 20,
    "run.train_every": 10,
    "run.log_every": 20,
    "run.eval_every": 40,
    "run.video_every": 40,
    "env.workers": "inline",
}


def objective_page():
    """What docs/objective.md defines, by name; the call of `train` is not run."""
    text = (ROOT / "docs" / "objective.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    names = {}
    for block in blocks:
        if "dreamer.train(" not in block:
            exec(compile(block, "docs/objective.md", "exec"), names)
    return names


OBJECTIVE_PAGE = objective_page()


class Kept(Writer):
    """A logger that keeps what it is told."""

    lines, videos = [], []

    def __init__(self, folder):
        self.lines.clear()
        self.videos.clear()

    def write(self, env_frames, scalars):
        self.lines.append({"step": env_frames, **scalars})

    def video(self, env_frames, name, frames, fps):
        self.videos.append(name)


def make_counting(name, *, action_repeat, time_limit, image_size):
    del action_repeat, time_limit, image_size
    return CountingEnv(int(name.removeprefix("to_")), image=True)


def make_pole(name, **options):
    assert name == "short" and options.keys() == {"action_repeat", "time_limit", "image_size"}
    return gymnasium.make("CartPole-v1")


def make_nothing(name, **options):
    return {}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run with all three."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.FAMILIES, "counting", make_counting)
        result = dreamer_tf.train(
            "counting_to_9",
            ["dreamerv3_gym", "debug"],
            logdir=folder,
            steps=80,
            agent=OBJECTIVE_PAGE["WhiteningDreamerV3"],
            writers=[Kept],
            **SMALL,
        )
    return folder, result.agent


def test_a_family_of_environments_plays(run):
    folder, _ = run
    assert json.loads((folder / "scores.json").read_text())[0]["task"] == "counting_to_9"


def test_an_objective_without_a_decoder_is_learned_and_weighed(run):
    _, agent = run
    assert agent.loss_scales["whitening"] == 0.5
    learned = [line["whitening_loss"] for line in Kept.lines if "whitening_loss" in line]
    assert learned and np.isfinite(learned).all()
    spreads = [line["whitening_spread"] for line in Kept.lines if "whitening_spread" in line]
    assert len(spreads) == len(learned)
    assert not any(line.get("nonfinite") for line in Kept.lines)


def test_a_logger_gets_every_line_and_every_video(run):
    folder, _ = run
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert Kept.lines == [json.loads(line) for line in lines]
    assert "eval" in Kept.videos


def test_two_lines_in_an_agent_make_imagined_actions_cost_something():
    config = configs.load(["dreamerv3_gym", "debug"]).config
    env = CountingEnv(9)
    made = []
    for kind in (None, OBJECTIVE_PAGE["Frugal"]):
        tf.keras.utils.set_random_seed(0)
        made.append(agents.make(config, env.obs_space, env.act_space, kind))
    state = made[0].world_model.rssm.initial_state(2)
    post = tf.nest.map_structure(lambda x: x[:, None], state)
    noise = made[0].update_noise(2, 1)
    (path, reward, _), (_, less, _) = [agent.imagine(post, noise) for agent in made]
    cost = np.sum(np.square(path.action), -1)
    np.testing.assert_allclose((reward - less)[1:], 0.1 * cost, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(reward[0], less[0])
    assert cost.min() > 0


# ---- By entry points of another package.


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is installed and offers an agent and a family of environments."""
    folder = tmp_path / "my_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(
        f"[dreamer_tf.agents]\nlazy = dreamer_tf.agents:RandomAgent\nwrong = json:dumps\n"
        f"[dreamer_tf.environments]\ncounting = {__name__}:make_counting\n"
        f"pole = {__name__}:make_pole\nnothing = {__name__}:make_nothing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()


def test_another_package_offers_agents_and_environments(package):
    config = configs.load([], {"agent": "lazy", "task": "counting_to_9"}).config
    env = envs.make(config.task)
    assert env.obs_space.keys() >= {"count"}
    made = agents.make(config, env.obs_space, env.act_space)
    assert type(made) is agents.RandomAgent
    with pytest.raises(envs.EnvError, match="nearest names are counting"):
        envs.make("countng_to_9")
    with pytest.raises(configs.ConfigError, match="lazy, wrong, or module:name.*'lazy'"):
        configs.load([], {"agent": "lasy"})
    with pytest.raises(ValueError, match="'wrong' is <function dumps.*subclass of dreamer_tf.age"):
        agents.find("wrong")


def test_another_package_offers_environments_of_gymnasium(package):
    env = envs.make("pole_short", action_repeat=2, time_limit=6, keys="vector")
    assert env.frames_per_step == 2 and env.obs_space.keys() >= {"vector"}
    env.reset(0)
    rows = [env.step({"action": np.int32(step % 2)}) for step in range(3)]
    assert [bool(row["is_last"]) for row in rows] == [False, False, True]
    with pytest.raises(envs.EnvError, match="must return an environment with reset.*got dict"):
        envs.make("nothing_at_all")


def test_without_the_package_there_are_none():
    with pytest.raises(configs.ConfigError, match="expected one of dreamer, .*random, or module"):
        configs.load([], {"agent": "lazy"})
    with pytest.raises(ValueError, match="there is no module 'nowhere'"):
        agents.find("nowhere:Agent")
