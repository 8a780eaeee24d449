"""Crafter with the real package."""

import collections
import subprocess
import sys

import numpy as np
import pytest

from dreamer_tf import envs
from dreamer_tf.envs.crafter import Crafter

NOOP = np.int32(0)
SEED = 8
"""Of an episode in which one of several creatures has to go, after some twenty steps."""


class Ordered(set):
    """A set whose order is known; that of others depends on where its elements lie in memory."""

    def __iter__(self):
        return iter(sorted(super().__iter__(), key=lambda creature: tuple(creature.pos)))


class Backwards(Ordered):
    """The same the other way round."""

    def __iter__(self):
        return reversed(list(super().__iter__()))


def arrange_creatures(env, kind):
    world = env._env._world
    chunks = {key: kind(creatures) for key, creatures in world._chunks.items()}
    world._chunks = collections.defaultdict(kind, chunks)


def play(env, seed, steps, film=False, prepare=lambda: None):
    """Rows of an episode with random actions, at most so many."""
    rng = np.random.default_rng(seed)
    rows = [env.reset(seed)]
    prepare()
    while len(rows) <= steps and not rows[-1]["is_last"]:
        rows.append(env.step({"action": env.act_space["action"].sample(rng)}))
        if film:
            env.render()
    return rows


@pytest.fixture(scope="module")
def env():
    return Crafter("reward", image_size=(32, 48))


@pytest.fixture(scope="module")
def episode(env):
    """A whole episode."""
    return play(env, SEED, 10_000, prepare=lambda: arrange_creatures(env, Ordered))


def test_spaces(env):
    assert env.obs_space["image"].shape == (32, 48, 3)
    assert env.act_space["action"].classes == 17
    assert env.frames_per_step == 1


def test_an_episode_ends_with_the_player(env, episode):
    assert episode[-1]["is_terminal"] and len(episode) < 10_000
    image = env.render()
    assert image.shape == (512, 512, 3) and image.dtype == np.uint8 and image.std() > 0
    assert len({row["image"].tobytes() for row in episode}) > 20


def test_achievements_are_for_the_log(episode):
    *before, last = episode
    assert not any(key.startswith("log_") for row in before for key in row)
    counts = {k: v for k, v in last.items() if k.startswith("log_achievement_")}
    assert len(counts) == 22 and all(v.dtype == np.float32 for v in counts.values())
    unlocked = sum(count > 0 for count in counts.values())
    assert last["log_achievements"] == unlocked
    # Each gave a reward of one when it came, next to a few tenths for health.
    assert unlocked == sum(row["reward"] > 0.5 for row in episode) > 0


def test_the_same_seed_and_actions_give_the_same_episode(episode):
    """In another object, whose creatures lie elsewhere in memory, and filmed."""
    other = Crafter("reward", image_size=(32, 48))
    play(other, 2, 5)
    again = play(
        other, SEED, 10_000, film=True, prepare=lambda: arrange_creatures(other, Backwards)
    )
    assert len(again) == len(episode)
    for row, other in zip(episode, again, strict=True):
        assert row.keys() == other.keys()
        assert all(np.array_equal(row[key], other[key]) for key in row)


def test_without_reward_achievements_still_count():
    silent = envs.make("crafter_noreward", time_limit=120, action_repeat=2)
    rows = play(silent, 1, 1000)
    assert {float(row["reward"]) for row in rows} == {0.0}
    assert rows[-1]["log_achievements"] > 0
    assert not np.array_equal(rows[0]["image"], play(silent, 2, 0)[0]["image"])


def test_a_time_limit_is_no_death():
    limited = envs.make("crafter_reward", time_limit=3)
    rows = [limited.reset(5), *(limited.step({"action": NOOP}) for _ in range(3))]
    assert rows[-1]["is_last"] and not rows[-1]["is_terminal"]
    assert rows[-1]["log_achievement_collect_wood"] == 0


def test_another_name_is_refused():
    with pytest.raises(envs.EnvError, match="unknown task crafter_rewards: there are"):
        envs.make("crafter_rewards")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "crafter", None)
    with pytest.raises(envs.EnvError, match=r'-m pip install -e "/.*\[crafter\]"'):
        envs.make("crafter_reward")


def test_the_terminal_is_left_to_the_run():
    make = "from dreamer_tf.envs.crafter import Crafter; Crafter('reward')"
    done = subprocess.run([sys.executable, "-c", make], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
