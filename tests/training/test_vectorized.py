"""Runs in a gymnasium ``VectorEnv``: training, evaluating, going on."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import dreamer_tf
from dreamer_tf import envs

OPTIONS = {"env.action_repeat": 1, "env.time_limit": 0, "run.eval_every": 40}


class Ten(gymnasium.Env):
    """Episodes of ten steps; the reward on arriving at n is n."""

    observation_space = gymnasium.spaces.Dict(count=gymnasium.spaces.Box(0, 99, (1,)))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return {"count": np.array([0], np.float32)}, {}

    def step(self, action):
        self.count += 1
        observed = {"count": np.array([self.count], np.float32)}
        return observed, float(self.count), self.count == 10, False, {}


@pytest.mark.parametrize("mode", AutoresetMode)
def test_a_run_trains_and_evaluates_and_goes_on(train, mode):
    env = envs.Vectorized(lambda: SyncVectorEnv([Ten] * 4, autoreset_mode=mode))
    result = train(env=env, steps=120, **OPTIONS)
    assert (result.curve.ys == 55).all() and len(result.curve.ys) == 3
    metrics = result.metrics()
    assert (metrics["train/return"].ys == 55).all() and len(metrics["train/return"].ys) >= 8
    more = train(env=env, steps=160, **OPTIONS)
    assert (more.metrics()["train/return"].ys[-4:] == 55).all()
    outcome = dreamer_tf.evaluate(result.logdir, 3, env=env)
    assert outcome.returns == [55, 55, 55]
