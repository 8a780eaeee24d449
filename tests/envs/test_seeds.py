"""Where seeds go, and what is said where none is taken."""

import gymnasium
import numpy as np
import pytest

from dreamer_tf import envs
from dreamer_tf.envs import VectorEnv
from tests.envs import peculiar


class Engine:
    """Old inside: its generator is set from without."""

    rng = np.random.default_rng()

    def reset(self):
        return self.rng.uniform(size=2).astype(np.float32)


class Adapter:
    """Takes a seed, whatever is inside."""

    observation_space = peculiar.Plain.observation_space
    action_space = peculiar.Plain.action_space

    def __init__(self):
        self._engine = self.unwrapped = Engine()

    def reset(self, seed=None, options=None):
        if seed is not None:
            self._engine.rng = np.random.default_rng(seed)
        return self._engine.reset(), {}

    def step(self, action):
        return self.reset()[0], 1.0, False, False, {}


class Unstarted(Adapter):
    def __init__(self):
        self._engine = Engine()

    @property
    def unwrapped(self):
        raise RuntimeError("not started")


class Nothing(Adapter):
    def __init__(self):
        super().__init__()
        self.unwrapped = None


class OldInner(gymnasium.Env):
    """Of old gym, for a wrapper that seeds it otherwise."""

    observation_space = peculiar.Plain.observation_space
    action_space = peculiar.Plain.action_space

    def reset(self):
        return self.rng.uniform(size=2).astype(np.float32)


class Seeding(gymnasium.Wrapper):
    def __init__(self):
        super().__init__(OldInner())

    def reset(self, *, seed=None, options=None):
        self.unwrapped.rng = np.random.default_rng(seed)
        return self.env.reset(), {}


class Compiled:
    """A function without a signature, as pybind11 makes them."""

    def __init__(self, takes_seed):
        self._takes_seed = takes_seed

    @property
    def __signature__(self):
        raise ValueError("no signature")

    def __call__(self, **given):
        if given and not self._takes_seed:
            raise TypeError("reset(): incompatible function arguments. The following are supported")
        return np.random.default_rng(**given).uniform(size=2).astype(np.float32), {}


class Foreign(Adapter):
    def __init__(self, takes_seed=True):
        self.reset = Compiled(takes_seed)


@pytest.mark.parametrize("kind", [Adapter, Unstarted, Nothing, Seeding, Foreign])
def test_a_seed_that_the_outermost_reset_takes_is_handed_on(kind, caplog):
    env = envs.from_user(kind)
    starts = [env.reset(seed)["vector"].tolist() for seed in (3, 4, 3)]
    assert starts[0] == starts[2] != starts[1]
    assert not caplog.messages


class Refusing(peculiar.Plain):
    def __init__(self, error):
        self._error, self.asked = error, 0

    def reset(self, seed=None, options=None):
        self.asked += seed is not None
        if seed is not None:
            raise self._error
        return super().reset()


@pytest.mark.parametrize("error", [
    ValueError("this simulator cannot be seeded"),
    NotImplementedError("Seeding is not supported"),
    AssertionError("no seed, please"),
], ids=repr)  # fmt: skip
def test_a_reset_that_refuses_a_seed_is_quoted(error, caplog):
    theirs = Refusing(error)
    with VectorEnv([lambda: envs.from_user(theirs)], seed=0, workers="inline") as env:
        for _ in range(2):
            assert env.step({"action": np.zeros(1, np.int32)}, [True])["is_first"].all()
    [message] = caplog.messages
    assert message.startswith("Refusing: reset() takes no seed")
    assert message.endswith(f"It raised {error!r}") and theirs.asked == 1


def test_a_compiled_reset_that_takes_no_seed_is_told(caplog):
    env = envs.from_user(Foreign(takes_seed=False))
    assert env.reset(3)["is_first"] and env.reset(4)["is_first"]
    [message] = caplog.messages
    assert "takes no seed" in message and "incompatible function arguments" in message


@pytest.mark.parametrize("takes", ["seed", "anything"])
def test_a_wrapper_around_a_reset_without_a_seed_still_works(takes, caplog):
    class Forwarding(Seeding):
        def reset(self, *, seed=None):
            return (self.env.reset() if seed is None else self.env.reset(seed=seed)), {}

    class Anything(Seeding):
        def reset(self, **given):
            return self.env.reset(**given), {}

    wrapped = Forwarding() if takes == "seed" else Anything()
    wrapped.unwrapped.rng = np.random.default_rng()
    env = envs.from_user(wrapped)
    assert env.reset(3)["is_first"] and env.reset(3)["is_first"]
    [message] = caplog.messages
    assert message.startswith("OldInner: reset() takes no seed") and "keyword arg" in message


@pytest.mark.parametrize(
    "error", [ValueError("no level 7"), NotImplementedError(), KeyError("seed")]
)
def test_other_errors_of_a_first_reset_are_raised(error, caplog):
    with pytest.raises(type(error)):
        envs.from_user(Refusing(error)).reset(0)
    assert not caplog.messages
