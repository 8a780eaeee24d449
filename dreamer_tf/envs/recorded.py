"""Episodes that others recorded, as rows: they are played back like an environment.

So they go through what an environment's values go through: images are resized, dicts get keys,
numbers become vectors, and all is checked against the spaces.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from dreamer_tf.envs.base import describe, key_of
from dreamer_tf.envs.checks import CheckedEnv, check_value
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.gym_api import GymEnv
from dreamer_tf.envs.spaces import ALL_KEYS
from dreamer_tf.specs import Row, Space


class RecordedEpisodes:
    """The episodes of a Minari dataset, or of anything that has its three attributes.

    Attributes:
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
      native_act_space: The actions as the environment took them.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        image_size: tuple[int, int] | None = (64, 64),
        keys: str = ALL_KEYS,
    ) -> None:
        """Looks at the spaces.

        Args:
          dataset: Has ``observation_space``, ``action_space`` and ``iterate_episodes()``, whose
            episodes have ``observations`` and ``actions`` (arrays, or dicts of them, T + 1 and T
            long), ``rewards``, ``terminations`` and ``truncations`` (T long).
          image_size: Height and width that images are resized to; None keeps theirs.
          keys: Regular expression that the whole key of an observation must match.

        Raises:
          EnvError: If a space is not supported.
        """
        self._dataset = dataset
        self._player = _Player(dataset.observation_space, dataset.action_space)
        self._gym_env = GymEnv(self._player, image_size=image_size, keys=keys)
        self._env = CheckedEnv(self._gym_env)

    @property
    def obs_space(self) -> dict[str, Space]:
        """Dict of observation key to `Space`."""
        return self._env.obs_space

    @property
    def act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`."""
        return self._env.act_space

    @property
    def native_act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`: the actions as the environment took them."""
        return self._env.native_act_space

    def __iter__(self) -> Iterator[list[Row]]:
        """The rows of each episode, see `dreamer_tf.specs`: a list of dicts.

        An episode whose recording ends before it does is cut off there.

        Raises:
          EnvError: If values are not as the spaces say, or arrays of an episode have lengths that
            do not go together.
        """
        nothing = {key: np.zeros(space.shape, space.dtype) for key, space in self.act_space.items()}
        for number, episode in enumerate(self._dataset.iterate_episodes()):
            length = _checked_length(number, episode)
            if not length:
                continue
            self._player.episode = episode
            rows: list[Any] = [{**self._env.reset(0), **nothing}]
            for step in range(length):
                taken = self._taken(_at(episode.actions, step), step)
                rows.append({**self._env.step(nothing), **taken})
                if rows[-1]["is_last"] and step + 1 < length:
                    raise EnvError(
                        f"an episode goes on after its end: step {step + 1} of {length} terminates "
                        f"or truncates it"
                    )
            rows[-1]["is_last"] = np.array(True)
            yield rows

    def _taken(self, action, step):
        """A recorded action as an agent gives it; numbers beyond their bounds are cut there.

        What cuts more than an error of rounding says so once.
        """
        try:
            taken = self._gym_env.encode(action)
        except (ValueError, TypeError, IndexError) as error:
            raise EnvError(
                f"the action of step {step} is not as its space says: {error}"
            ) from error
        for key, space in self.act_space.items():
            check_value(key, taken[key], space)
        return taken


class _Player:
    """A gymnasium environment whose steps are those of a recorded episode, whatever the action."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space
        self.episode, self._step = None, 0

    def reset(self, seed=None, options=None):
        self._step = 0
        return _at(self.episode.observations, 0), {}

    def step(self, action):
        episode, step = self.episode, self._step
        self._step += 1
        ends = bool(episode.terminations[step]), bool(episode.truncations[step])
        return _at(episode.observations, step + 1), float(episode.rewards[step]), *ends, {}


def _checked_length(number, episode):
    """Steps (T) of an episode whose arrays go together; 0: nothing else is looked at.

    Raises:
      EnvError: If they do not: an array that begins elsewhere would shift all that is in it.
    """
    steps = _length(episode.rewards)
    if steps is None:
        raise EnvError(f"episode {number}: expected rewards, got {describe(episode.rewards)}")
    names = ("observations", "actions", "terminations", "truncations") if steps else ()
    problems = []
    for name in names:
        expected = steps + 1 if name == "observations" else steps
        for path, values in _leaves(getattr(episode, name), (name,)):
            found = _length(values)
            if found != expected:
                got = describe(values) if found is None else found
                problems.append(
                    f"episode {number}: {key_of(path)!r}: expected {expected} entries, got {got}"
                )
    if problems:
        raise EnvError(
            *problems,
            f"an episode with {steps} rewards has as many actions, terminations and truncations, "
            f"and one observation more: the last one",
        )
    return steps


def _length(values):
    """How many there are; None where nothing can be counted."""
    try:
        return len(values)
    except TypeError:
        return None


def _leaves(values, path):
    """(path, array) of all that is in dicts, or of what is in none."""
    if not isinstance(values, dict):
        yield path, values
        return
    for key, value in values.items():
        yield from _leaves(value, (*path, key))


def _at(values, step):
    """One step of arrays, in dicts or not."""
    if isinstance(values, dict):
        return {key: _at(value, step) for key, value in values.items()}
    return values[step]
