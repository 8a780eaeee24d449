"""Observations and actions whose names are taken: by each other, by rows, by what agents keep."""

import dataclasses
import pathlib
import re

import numpy as np
import pytest
from gymnasium import spaces

from dreamer_tf import config, envs
from dreamer_tf.envs import EnvError
from dreamer_tf.envs.names import TAKEN_BY_AGENTS
from dreamer_tf.specs import Space
from tests.counting import CountingEnv
from tests.envs import peculiar


def test_an_observation_called_action_gets_another_name():
    """The last action among the observations is usual, and agents call all actions so."""
    arm, last = spaces.Box(-2, 2, (1,)), spaces.Box(-2, 2, (2,))
    whole = spaces.Dict({"action": last, "arm": spaces.Box(-1, 1, (3,))})
    for actions, keys in ((arm, ["action"]), (spaces.Dict({"arm": arm}), ["action/arm"])):
        env = envs.from_user(peculiar.Returning(whole, whole.sample(), action_space=actions))
        assert sorted(env.obs_space) == ["arm", "observation/action"]
        assert list(env.act_space) == keys
        assert env.reset(0)["observation/action"].shape == (2,)
    taken = spaces.Dict({"action": last, "observation": spaces.Dict({"action": last})})
    with pytest.raises(EnvError, match="several entries would be called observation/action"):
        envs.from_user(peculiar.Returning(taken, taken.sample(), action_space=arm))


def test_names_that_agents_use_themselves_are_changed_with_a_notice(caplog):
    box = spaces.Box(-1, 1, (2,))
    keys = [*TAKEN_BY_AGENTS, "reward", "is_first", "is_last", "is_terminal", "log_it", "free"]
    whole = spaces.Dict({key: box for key in keys})
    acting = spaces.Dict({key: box for key in ("stoch", "prior", "is_last", "value", "log_it")})
    theirs = peculiar.Returning(whole, whole.sample(), action_space=acting)
    env = envs.from_user(theirs, keys="(?!temp).*")
    keys.remove("temp")
    changed = {f"observation/{key}" for key in keys if key != "free"}
    assert env.obs_space.keys() == changed | {"free"}
    assert "'value': that name is taken, so the observation is 'observation/value'" in caplog.text
    assert env.act_space.keys() == {
        *("action/stoch", "action/prior", "action/is_last", "action/log_it"),
        "value",  # No observation is called so by now.
    }
    row = env.reset(0)
    assert row["observation/value"].tolist() == theirs._observation["value"].tolist()
    assert row["reward"] == 0 and row["is_first"]
    env.step({key: np.zeros(2, np.float32) for key in env.act_space})
    assert acting.contains(theirs.actions[0])


def test_names_that_agents_use_themselves_are_changed_for_an_env_of_ones_own(caplog):
    class Named(CountingEnv):
        obs_space = {"value": Space(np.float32, (1,)), "count": Space(np.float32, (1,))}

        def _observe(self, action):
            count = np.full(1, self._count, np.float32)
            return {"value": 2 * count, "count": count}

    env = envs.from_user(Named)
    assert list(env.obs_space) == ["observation/value", "count"]
    assert "'value': that name is taken" in caplog.text
    env.reset(0)
    row = env.step({"action": np.zeros(2, np.float32)})
    assert row["observation/value"] == 2 and row["count"] == 1
    assert list(envs.from_user(Named, keys="value").obs_space) == ["observation/value"]


def test_all_names_that_agents_use_are_known():
    """Losses of the papers that weigh them by options, and each gradient step by its source."""
    losses = dataclasses.fields(config.Config().dreamerv3.loss_scales)
    names = {field.name for field in losses} - {"reconstruction", "reward"}
    agents = pathlib.Path(config.__file__).parents[1] / "agents"
    for path in agents.glob("*.py"):
        names.update(re.findall(r'(?:make|_build)_step\(\s*"(\w+)"', path.read_text()))
    assert {"replay_value", "critic", "explore_ensemble"} <= names <= TAKEN_BY_AGENTS
