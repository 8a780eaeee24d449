"""What an environment may not return."""

import functools

import numpy as np
import pytest

from dreamer_tf.envs import (
    CheckedEnv,
    EnvError,
    FrameEnv,
    VectorEnv,
    check_env,
    from_user,
    make_row,
)
from dreamer_tf.envs.checks import ACTIONS_CHECKED_STEPS
from dreamer_tf.specs import Space
from tests.counting import CountingEnv, FailingEnv

ACTION = {"action": np.zeros(2, np.float32)}


def advance(env, steps):
    env.reset(0)
    for _ in range(steps):
        row = env.step(ACTION)
    return row


@pytest.mark.parametrize("at", [1, ACTIONS_CHECKED_STEPS + 5])
@pytest.mark.parametrize(("how", "message"), [
    ("nan", "'count'.*NaN"),
    ("dtype", "'count'.*float32.*got dtype float64"),
    ("shape", r"'count'.*got shape \(3,\)"),
    ("key", "expected the observation keys.*'count'"),
])  # fmt: skip
def test_wrong_observations_are_named_at_any_step(how, message, at):
    env = CheckedEnv(FailingEnv(how, at=at, length=1000))
    if at > 1:
        advance(env, at - 1)
    else:
        env.reset(0)
    with pytest.raises(EnvError, match=message):
        env.step(ACTION)


@pytest.mark.parametrize("at", [1, 150])
def test_numbers_outside_their_bounds_are_kept_and_told_once_whenever_they_come(at, caplog):
    class Loud(CountingEnv):
        def step(self, action):
            row = super().step(action)
            loud = np.full(2, 1.5, np.float32)
            return {**row, "echo": loud} if self._count >= at else row

    env = CheckedEnv(Loud(length=1000))
    assert advance(env, at + 3)["echo"].tolist() == [1.5, 1.5]
    [message] = caplog.messages
    assert "'echo': values from 1.5 to 1.5 leave Space(float32, (2,), -1 to 1)" in message


def test_categories_outside_their_bounds_are_refused():
    class Gears(CountingEnv):
        obs_space = {"gear": Space(np.int32, (), 0, 3)}
        gear = 4

        def _observe(self, action):
            return {"gear": np.int32(self.gear)}

    with pytest.raises(EnvError, match="'gear': expected values in.*0 to 3.*got values from 4"):
        CheckedEnv(Gears()).reset(0)


def test_actions_are_checked_at_first():
    env = CheckedEnv(CountingEnv())
    env.reset(0)
    with pytest.raises(EnvError, match="'action'.*got values from 0.0 to 2.0"):
        env.step({"action": np.array([0, 2], np.float32)})
    with pytest.raises(EnvError, match="action keys.*got.*'move'"):
        env.step({"move": np.zeros(2, np.float32)})


def test_reserved_and_double_keys_are_refused():
    class Overlapping(CountingEnv):
        obs_space = {"action": Space(np.float32)}

    class Reserved(CountingEnv):
        obs_space = {"is_last": Space(bool)}

    with pytest.raises(EnvError, match="'action' is already an observation key"):
        CheckedEnv(Overlapping())
    with pytest.raises(EnvError, match="'is_last' is already an observation key"):
        CheckedEnv(Reserved())


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Space(np.float32, (2,), -2, 2), "numbers from -1 to 1, got .*-2 to 2.*native_act_space"),
        (Space(np.float32, (2,)), "numbers from -1 to 1, got .*-inf to inf"),
        (Space(np.int32, (), 1, 3), "classes from 0 to K - 1, got .*1 to 3"),
        (Space(np.int32, ()), "classes from 0 to K - 1"),
    ],
)
def test_actions_of_another_range_are_refused(space, message):
    with pytest.raises(EnvError, match=f"'turn': .*{message}"):
        CheckedEnv(CountingEnv(act_space={"turn": space}))


def test_log_keys_are_finite_numbers_and_no_observations(caplog):
    class Told(CountingEnv):
        told = np.float32(3)

        def step(self, action):
            return super().step(action) | {"log_told": self.told}

    assert advance(CheckedEnv(Told()), 1)["log_told"] == 3
    for told in (np.float32(np.nan), np.float32(np.inf), np.zeros(2, np.float32), "yes"):
        Told.told = told
        assert "log_told" not in advance(CheckedEnv(Told()), 1)
    assert "'log_told': not logged where it is no finite float32, but 'yes'" in caplog.text

    class Observed(CountingEnv):
        obs_space = {"log_told": Space(np.float32)}

    with pytest.raises(EnvError, match="observation key 'log_told' begins with 'log_'"):
        CheckedEnv(Observed())


def test_a_step_after_the_end_is_refused():
    env = CheckedEnv(CountingEnv(length=2))
    assert advance(env, 2)["is_last"]
    with pytest.raises(EnvError, match="call reset"):
        env.step(ACTION)
    assert env.reset(0)["is_first"]


def test_nothing_is_changed():
    plain, checked = CountingEnv(image=True), CheckedEnv(CheckedEnv(CountingEnv(image=True)))
    expected, got = advance(plain, 3), advance(checked, 3)
    assert expected.keys() == got.keys()
    for key in expected:
        np.testing.assert_array_equal(expected[key], got[key])
    np.testing.assert_array_equal(plain.render(), checked.render())
    assert checked.obs_space == plain.obs_space


def test_check_env_tells_what_the_agent_sees():
    text = check_env(CountingEnv(length=7, terminal=False))
    assert "count: Space(float32, (1,), -inf to inf), seen 0 to 7" in text
    assert "action: Space(float32, (2,), -1 to 1)" in text
    assert "reward: 1 to 7 per step, return 28" in text
    assert "episode: 7 steps (1 frames per step), cut off" in text
    assert "terminated" in check_env(lambda: CountingEnv(length=3))
    assert "4 steps (1 frames per step), still running" in check_env(CountingEnv(), steps=4)


class Frames(FrameEnv):
    """What its methods return is handed in."""

    obs_space = {"count": Space(np.float32, (1,))}
    act_space = {"action": Space(np.float32, (2,), -1, 1)}

    def __init__(self, advanced=(1.0, False, False), observed=None, logged=None):
        super().__init__()
        self._returned = advanced, observed, logged

    def _begin(self, seed):
        pass

    def _advance(self, action):
        return self._returned[0]

    def _observe(self):
        return self._returned[1]

    def _log(self):
        return self._returned[2]


class Tensor:
    """Of several entries, or with a gradient."""

    def __float__(self):
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


OBS = {"count": np.zeros(1, np.float32)}


@pytest.mark.parametrize(("returned", "message"), [
    (((1.0, False), OBS), r"Frames._advance\(\) must return reward, terminated.*shape \(2,\)"),
    (((None, False, False), OBS), r"Frames._advance\(\) must return.*a tuple of NoneType, bool"),
    (((Tensor(), False, False), OBS), r"Frames._advance\(\) must return.*of Tensor, bool"),
    ((1.0, OBS), r"Frames._advance\(\) must return .*got 1.0"),
    (((1e39, False, False), OBS), "'reward': 1e[+]39 is too large for float32"),
    (((1.0, True, False), None), r"Frames._observe\(\) must return a dict of obs.*got None"),
    (((1.0, True, False), OBS, 3), r"Frames._log\(\) must return a dict of numbers; got 3"),
])  # fmt: skip
@pytest.mark.parametrize("workers", ["inline", "process"])
def test_what_a_subclass_of_ours_returns_is_named(returned, message, workers):
    with VectorEnv([functools.partial(Frames, *returned)], seed=0, workers=workers) as env:  # noqa: SIM117
        with pytest.raises(EnvError, match=message):
            for begins in (True, False):
                env.step({"action": np.zeros((1, 2), np.float32)}, [begins])


def test_a_reward_that_is_no_number_is_no_death():
    class Odd(CountingEnv):
        def step(self, action):
            return make_row(super().step(action), Tensor())

    with VectorEnv([Odd], seed=0, workers="inline") as env:
        env.step({"action": np.zeros((1, 2), np.float32)}, [True])
        with pytest.raises(
            EnvError, match="'reward': expected .* got an object of the class Tensor"
        ):
            env.step({"action": np.zeros((1, 2), np.float32)}, [False])


def test_what_a_subclass_of_ours_logs_may_be_anything(caplog):
    env = CheckedEnv(Frames((1.0, True, False), OBS, {"won": "yes", "steps": 3, "huge": 10**400}))
    assert advance(env, 1)["log_steps"] == 3
    assert "'log_won': not logged" in caplog.text and "'log_huge': not logged" in caplog.text


@pytest.mark.parametrize("keys", [".*", "count"])
@pytest.mark.parametrize(("method", "returned", "said"), [
    ("step", (OBS, 1.0, False, False, {}), "a tuple of bool, dict, float"),
    ("reset", (OBS, {}), "a tuple of dict"),
    ("step", None, "None"),
])  # fmt: skip
def test_an_env_that_returns_what_gymnasiums_do_is_told(method, returned, said, keys):
    class Mixed(CountingEnv):
        pass

    setattr(Mixed, method, lambda self, argument: returned)
    env = from_user(Mixed, keys=keys)
    with pytest.raises(EnvError, match=rf"^{method}\(\) of an Env must return a row.*{said}"):
        advance(env, 1)


def test_wrong_flags_and_keys_of_an_env_are_told():
    class Odd(CountingEnv):
        def step(self, action):
            return super().step(action) | self.added

    for added, message in (
        ({"is_last": np.zeros(2, bool)}, r"'is_last'.*got shape \(2,\)"),
        ({1: 2, "more": 3}, "unexpected 1, 'more'"),
    ):
        Odd.added = added
        with pytest.raises(EnvError, match=message):
            advance(CheckedEnv(Odd()), 1)
