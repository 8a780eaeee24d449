"""Moving backgrounds: seeded, and behind everything."""

import functools

import numpy as np
import pytest

from dreamer_tf import envs
from dreamer_tf.envs.background import MovingBackground
from dreamer_tf.envs.base import FrameEnv
from dreamer_tf.envs.dmc import DMControl
from dreamer_tf.specs import Space


def frames(seed, times=(0, 1, 30), size=(24, 32)):
    background = MovingBackground()
    background.begin(1000)
    background.begin(seed)
    return [background.frame(time, size).astype(int) for time in times]


def test_a_background_is_decided_by_the_seed_and_moves_smoothly():
    first, second, later = frames(5)
    assert first.shape == (24, 32, 3)
    np.testing.assert_array_equal(frames(5), [first, second, later])
    assert np.abs(frames(6)[0] - first).mean() > 20
    moved = np.abs(second - first)
    assert 0 < moved.mean() < 15 < np.abs(later - first).mean()
    # Smooth in space, and over the whole range of brightness.
    assert np.abs(np.diff(first, axis=1)).mean() < 20
    assert np.ptp(first) > 180


class Both(FrameEnv):
    """A task with a moving background beside the same with its own, and where bodies are."""

    def __init__(self, **options):
        super().__init__(action_repeat=4)
        self._moving = DMControl("cartpole_balance", background="moving", **options)
        self._own = DMControl("cartpole_balance", **options)
        self._rows = None

    @property
    def obs_space(self):
        image = self._own.obs_space["image"]
        flags = Space(bool, image.shape[:2])
        return {"moving": image, "own": image, "behind": flags, "waves": image}

    @property
    def act_space(self):
        return self._own.act_space

    def _begin(self, seed):
        self._rows = self._moving.reset(seed), self._own.reset(seed)

    def _advance(self, action):
        self._rows = self._moving.step(action), self._own.step(action)
        moving, own = self._rows
        assert moving["reward"] == own["reward"]
        return own["reward"], False, bool(own["is_last"])

    def _observe(self):
        moving, own = self._rows
        return {
            "moving": moving["image"],
            "own": own["image"],
            "behind": self._moving._behind((32, 32)),
            "waves": self._moving._background.frame(self._frames, (32, 32)),
        }


def play(constructor, seed=0, steps=4):
    with envs.VectorEnv([constructor], seed=seed) as env:
        zero = {"action": np.full((1, 1), 0.5, np.float32)}
        return [env.step(zero, [step in (0, steps - 1)]) for step in range(steps)]


@pytest.mark.parametrize("render", ["full", "fast"])
def test_only_the_background_changes(render):
    make = functools.partial(Both, image_size=(32, 32), render=render)
    rows = [{key: value[0] for key, value in row.items()} for row in play(make)]
    for row in rows:
        behind = row["behind"]
        # The cart, the pole and the rail are a small part of the picture, but there.
        assert 0.5 < behind.mean() < 0.99
        np.testing.assert_array_equal(row["moving"][~behind], row["own"][~behind])
        np.testing.assert_array_equal(row["moving"][behind], row["waves"][behind])
    assert np.any(rows[0]["waves"] != rows[1]["waves"]), "it should move"
    # The last row begins another episode, with another background.
    difference = np.abs(rows[0]["waves"].astype(int) - rows[-1]["waves"])
    assert difference.mean() > 20


def test_the_same_seed_repeats_the_pictures():
    make = functools.partial(
        envs.make, "dmc_cartpole_balance", background="moving", image_size=(32, 32), action_repeat=8
    )
    images = [[row["image"] for row in play(make, seed)] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(images[0], images[1])
    assert np.any(images[0][0] != images[2][0])


def test_other_tasks_have_no_background_to_replace():
    with pytest.raises(envs.EnvError, match="env.background moving is for dm_control.*CartPole"):
        envs.make("gymnasium_CartPole-v1", background="moving")
    with pytest.raises(envs.EnvError, match="own, moving, got 'video'"):
        DMControl("cartpole_balance", observations="state", background="video")
