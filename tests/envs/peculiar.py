"""Environments as people bring them, one for each thing that an environment may do."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Plain(gymnasium.Env):
    """Episodes of five steps; the reward of a step is its number."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    length = 5

    def look(self):
        return np.full(2, self.t / 10, np.float32)

    def reset(self, seed=None, options=None):
        self.t = 0
        return self.look(), {}

    def step(self, action):
        self.t += 1
        return self.look(), float(self.t), self.t >= self.length, False, self.info()

    def info(self):
        return {}


class Acting(Plain):
    """Shows the last action under the name that actions have here."""

    observation_space = spaces.Dict({key: Plain.observation_space for key in ("action", "pos")})

    def look(self):
        return {key: super(Acting, self).look() for key in ("action", "pos")}


class WithoutInfo(Plain):
    """Returns None for info, from both."""

    def reset(self, seed=None, options=None):
        return super().reset()[0], None

    def info(self):
        return None


class SmallSeeds(Plain):
    """Its seed is a signed number of 32 bits."""

    def reset(self, seed=None, options=None):
        self.seed_value = np.array(seed).astype(np.int32)
        assert self.seed_value == seed
        return super().reset()


class Unseedable(Plain):
    """``reset`` takes nothing."""

    def reset(self):
        return super().reset()


class Moody(Plain):
    """Takes a seed and begins differently all the same."""

    resets = 0

    def reset(self, seed=None, options=None):
        self.resets += 1
        obs, info = super().reset()
        return obs + self.resets / 10, info


class Unwritten(Plain):
    """``step`` is still to be written."""

    def step(self, action):
        raise NotImplementedError


class Speechless(Plain):
    """Fails without a word."""

    def step(self, action):
        raise AssertionError


class Restless(Plain):
    """Reuses the array of its observations."""

    _array = np.zeros(2, np.float32)

    def look(self):
        self._array[:] = self.t / 10
        return self._array


class Wrong(Plain):
    """Declares one structure and returns what it is told to, and a reward that is no number."""

    def __init__(self, observation_space, returned, reward=1.0):
        self.observation_space = observation_space
        self.returned, self.reward = returned, reward

    def look(self):
        return self.returned

    def step(self, action):
        obs, _, *rest = super().step(action)
        return (obs, self.reward, *rest)


class Sized(Plain):
    """Needs an argument; there is as much to see as it says."""

    def __init__(self, size, scale=1.0):
        self.observation_space = spaces.Box(-1, 1, (size,), np.float32)
        self.scale = scale

    def look(self):
        return np.full(self.observation_space.shape, self.scale / 10, np.float32)


class ClaimsToDraw(Plain):
    """Its metadata name rgb_array, its constructor takes no ``render_mode``."""

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self):
        pass


gymnasium.register("Claims-v0", ClaimsToDraw)
gymnasium.register("Sized-v0", Sized)
gymnasium.register("Acting-v0", Acting)


class Returning:
    """An environment of any spaces that remembers actions and returns what it was given."""

    def __init__(self, observation_space, observation, action_space=None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)
        self._observation = observation
        self.actions = []

    def reset(self, seed=None):
        return self._observation, {}

    def step(self, action):
        self.actions.append(action)
        return self._observation, 1.0, False, False, {}


class Unready(Plain):
    """``seed`` is still to be written."""

    def reset(self):
        return super().reset()

    def seed(self, seed):
        raise NotImplementedError


class SeedTakesNothing(Unready):
    """Its ``seed`` is something else."""

    def seed(self):
        return 7


class Unseeded(Unready):
    """A wrapper's ``seed`` around what has none."""

    def seed(self, seed):
        return Plain().seed(seed)


class SeedByMethod(Unready):
    """As of old: remembers its seeds."""

    seeds = None

    def seed(self, seed):
        self.seeds = [*(self.seeds or []), seed]


class Strict(Plain):
    """Makes an error of everything that is rounded; its numbers are too small for float32."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = spaces.Box(0, 1e-46, (1,), np.float64)

    def __init__(self):
        np.seterr(all="raise")

    def look(self):
        return np.full(2, 1e-46)

    def step(self, action):
        obs, _, *rest = super().step(action)
        return (obs, 1e-46, *rest)


class Undisplayed(ClaimsToDraw):
    """Draws only where there is a display."""

    error = RuntimeError("no display")

    def __init__(self, render_mode=None, works=True):
        if render_mode:
            raise self.error
        if not works:
            raise RuntimeError("no licence")


class Uninstalled(Undisplayed):
    """Draws only with a package that is missing."""

    error = gymnasium.error.DependencyNotInstalled("pip install pygame")


gymnasium.register("Undisplayed-v0", Undisplayed)
gymnasium.register("Uninstalled-v0", Uninstalled)
