"""Environments that a simulator steps together already: gymnasium's own VectorEnv."""

import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from dreamer_tf.envs.base import describe, get_entry, make_row, set_entry, to_array
from dreamer_tf.envs.checks import check_keys, check_value
from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.gym_api import FINAL_KEYS, refuses_seed
from dreamer_tf.envs.names import named_apart
from dreamer_tf.envs.pictures import drawn
from dreamer_tf.envs.spaces import ALL_KEYS, action_codecs, observation_codecs
from dreamer_tf.specs import STEP_SPACES, Row, Space

logger = logging.getLogger(__name__)

_MODES = ("NextStep", "SameStep", "Disabled")


@dataclasses.dataclass(frozen=True)
class Vectorized:
    """Says that a function makes a VectorEnv of gymnasium, for where an environment is taken.

    Attributes:
      make: Function without arguments. It is called in this process: they have their own.
    """

    make: Callable[..., Any]

    def start(
        self,
        seed: int,
        *,
        action_repeat: int,
        time_limit: int,
        image_size: tuple[int, int] | None,
        keys: str,
        kwargs: Mapping[str, Any],
    ) -> "GymVectorEnv":
        """Makes the environments, with options as `from_user` takes them.

        Raises:
          EnvError: If they cannot be used, or should repeat actions or limit episodes, which a
            such environments do themselves.
        """
        if action_repeat != 1 or time_limit:
            raise EnvError(
                f"a gymnasium VectorEnv repeats actions and limits episodes itself: set "
                f"env.action_repeat to 1 and env.time_limit to 0; they are {action_repeat} and "
                f"{time_limit}"
            )
        make = functools.partial(self.make, **kwargs)
        return GymVectorEnv(make, seed=seed, image_size=image_size, keys=keys)


class GymVectorEnv:
    """A VectorEnv of gymnasium with the interface of `VectorEnv`.

    Where a sub-environment ends, depends on ``metadata["autoreset_mode"]``::

        mode        step t                                    step t + 1
        NextStep    the last observation, its reward, end     the first of the next episode
        SameStep    the same in ``final_obs`` and the first   goes on
                    observation of the next episode
        Disabled    the same, and `reset` with ``reset_mask`` goes on
                    right away

    So in the last two modes two rows arrive at once: the last ones are in `ended`.

    The simulator's own generators decide all episodes but the first ones. A run that is continued
    plays others than it would have played.
    """

    frames_per_step = 1

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        seed: int,
        image_size: tuple[int, int] | None = (64, 64),
        keys: str = ALL_KEYS,
    ) -> None:
        """Makes the environments.

        Args:
          make: Function without arguments that returns the VectorEnv of gymnasium.
          seed: Decides the first episodes.
          image_size: Height and width that images are resized to; None keeps theirs.
          keys: Regular expression that the whole key of an observation must match.

        Raises:
          EnvError: If it is none, or one with spaces that are not supported.
        """
        self._env = make()
        self._seed = seed
        self._mode = _mode_of(self._env)
        self._observations, self._actions = named_apart(
            observation_codecs(self._env.single_observation_space, image_size, keys),
            action_codecs(self._env.single_action_space),
        )
        check_keys(self.obs_space, self.act_space)
        count = len(self)
        self._episodes = np.zeros(count, np.int64)
        self._running = np.zeros(count, bool)
        self.ended: dict[int, Row] = {}
        """Index to the last row of an episode that ended within the last step, where `step`
        returned the first row of the next one already."""

    def __len__(self) -> int:
        return int(self._env.num_envs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def obs_space(self) -> dict[str, Space]:
        """Dict of observation key to `Space`, without the batch dimension."""
        return {key: codec.space for key, codec in self._observations.items()}

    @property
    def act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`, without the batch dimension."""
        return {key: codec.space for key, codec in self._actions.items() if codec.space}

    @property
    def native_act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`: the actions as the simulator itself takes them."""
        return {key: codec.native_space for key, codec in self._actions.items() if codec.space}

    @property
    def episodes(self) -> np.ndarray:
        """Number of episodes that each environment began, an int array of ``[N]``."""
        return self._episodes.copy()

    @property
    def died(self) -> np.ndarray:
        """Which environments died at the last step: none; an error here is the simulator's."""
        return np.zeros(len(self), bool)

    def restore(self, episodes: ArrayLike) -> None:
        """Begins other episodes than those counted so far; the next step must reset all.

        Args:
          episodes: Counts of any number of environments.
        """
        total = int(np.sum(np.asarray(episodes, np.int64)))
        self._episodes = np.full(len(self), total // len(self) + bool(total % len(self)))
        self._running[:] = False

    def play_again(self, rows: Mapping[int, Any]) -> dict[int, str]:
        """Says of every episode that it cannot be brought to where it was, see `VectorEnv`."""
        return dict.fromkeys(rows, "the seeds of its episodes are the simulator's own")

    def step(self, actions: Mapping[str, np.ndarray], reset: ArrayLike) -> dict[str, np.ndarray]:
        """Steps every environment, or begins all of them.

        Args:
          actions: Dict of action key to array of ``[N, ...]``; ignored where ``reset``.
          reset: Which environments begin a new episode, bool of ``[N]``: all at the start,
            afterwards those whose last row was ``is_last``.

        Returns:
          Dict of observation keys, ``reward``, ``is_first``, ``is_last`` and ``is_terminal`` to
          arrays of ``[N, ...]``; see `ended` for rows before these.

        Raises:
          EnvError: If the environments return what their spaces do not allow, or an episode that
            has not ended should be left.
        """
        reset = np.asarray(reset, bool)
        self.ended = {}
        if reset.all() and not self._running.any():
            return self._begin()
        if (reset & self._running).any():
            raise EnvError(
                "an episode of a gymnasium VectorEnv cannot be left before it ends: give its "
                "environments a time limit, or set run.eval_limit to 0"
            )
        obs, rewards, terminated, truncated, info = self._advance(actions)
        over = (terminated | truncated) & ~reset
        rows = []
        for index in range(len(self)):
            if reset[index]:
                rows.append(make_row(self._encode(obs, index), is_first=True))
                continue
            if over[index] and self._mode == "SameStep":
                values = self._encode_last(info, index)
            else:
                values = self._encode(obs, index)
            row = make_row(
                values,
                float(rewards[index]),
                is_last=bool(over[index]),
                is_terminal=bool(terminated[index]),
            )
            rows.append(row)
        self._episodes += reset
        self._running = ~over
        if self._mode != "NextStep" and over.any():
            self._go_on(obs, over, rows)
        return self._stack(rows)

    def render(self, index: int = 0) -> np.ndarray:
        """A picture of one environment's present state, uint8 of ``[height, width, channels]``.

        Raises:
          EnvError: If the environments draw no pictures.
        """
        try:
            pictures = self._env.render()
        except Exception as error:  # Simulators that do not draw say so in many ways.
            raise EnvError(f"the VectorEnv draws no pictures: {error!r}") from error
        if pictures is None or not isinstance(pictures[index], np.ndarray):
            raise EnvError("the VectorEnv draws no pictures; make it with render_mode='rgb_array'")
        return drawn(pictures[index])

    def close(self) -> None:
        """Closes the environments; what goes wrong there is only told."""
        try:
            self._env.close()
        except Exception:
            logger.warning("closing the VectorEnv failed", exc_info=True)

    def _begin(self):
        key = int(self._episodes.sum())
        seed = np.random.SeedSequence(self._seed, spawn_key=(key,)).generate_state(1)[0]
        obs = self._reset(seed=int(seed) % (2**31 - len(self)))
        self._episodes += 1
        self._running[:] = True
        rows = [make_row(self._encode(obs, i), is_first=True) for i in range(len(self))]
        return self._stack(rows)

    def _go_on(self, obs, over, rows):
        """Puts last rows aside, and the first ones of the next episodes in their place."""
        if self._mode == "Disabled":
            obs = self._reset(options={"reset_mask": over.copy()})
        for index in np.flatnonzero(over):
            self.ended[int(index)] = self._checked(rows[index])
            rows[index] = make_row(self._encode(obs, index), is_first=True)
        self._episodes += over
        self._running[:] = True

    def _reset(self, **given):
        try:
            result = self._env.reset(**given)
        except TypeError as error:
            if not refuses_seed(error) and "argument 'options'" not in str(error):
                raise
            raise EnvError(
                f"reset() of a VectorEnv must take seed and options, as gymnasium's does: {error}"
            ) from error
        if not (isinstance(result, tuple | list) and len(result) == 2):
            raise EnvError(
                f"reset() of a VectorEnv must return observations and info; got {describe(result)}"
            )
        return self._split(result[0])

    def _advance(self, actions):
        """What ``step`` returned: observations by key, three arrays of ``[N]``, and the info."""
        result = self._env.step(self._decode(actions))
        if not (isinstance(result, tuple | list) and len(result) == 5):
            got = len(result) if isinstance(result, tuple | list) else describe(result)
            raise EnvError(f"step() of a VectorEnv must return 5 values, got {got}")
        obs, rewards, terminated, truncated, info = result
        ends = [
            self._flags(name, value)
            for name, value in (("terminated", terminated), ("truncated", truncated))
        ]
        return self._split(obs), self._one_each("reward", rewards), *ends, info

    def _one_each(self, name, values):
        """A number for each environment; simulators may give them an axis of one more."""
        array = to_array(name, values)
        if array.size != len(self) or array.dtype.kind not in "biuf":
            raise EnvError(
                f"{name!r}: expected a number for each of {len(self)} environments, got "
                f"{describe(values)}"
            )
        return array.reshape(len(self))

    def _flags(self, name, values):
        flags = self._one_each(name, values)
        if not np.isin(flags, (0, 1)).all():
            raise EnvError(f"{name!r}: expected true or false (1 or 0), got {flags.tolist()}")
        return flags.astype(bool)

    def _split(self, obs):
        """Dict of key to what all environments show of it."""
        parts = {}
        for key, codec in self._observations.items():
            values = parts[key] = get_entry(obs, codec.path)
            try:
                count = None if isinstance(values, Mapping) else len(values)
            except TypeError:  # None, or a number.
                count = None
            if count != len(self):
                raise EnvError(
                    f"{key!r}: expected an array of an observation for each of {len(self)} "
                    f"environments, got {describe(values)}"
                )
        return parts

    def _decode(self, actions):
        singles = []
        for index in range(len(self)):
            single: Any = {}
            for key, codec in self._actions.items():
                value = codec.decode(actions[key][index] if codec.space else None)
                if codec.path:
                    set_entry(single, codec.path, value)
                else:
                    single = value
            singles.append(single)
        return _batch(singles)

    def _encode(self, obs, index):
        return {key: codec.encode(obs[key][index]) for key, codec in self._observations.items()}

    def _encode_last(self, info, index):
        """What an episode ended with, where the observation is the next one's first already."""
        is_list = isinstance(info, list | tuple)  # As gymnasium's DictInfoToList returns it.
        own = info[index] if is_list and len(info) == len(self) else info
        for key in FINAL_KEYS:
            values = own.get(key) if isinstance(own, Mapping) else None
            try:
                last = values if is_list or values is None else _at(values, index)
            except (TypeError, IndexError) as error:  # There are none of each environment.
                raise EnvError(
                    f"{key!r} of the info: expected an observation for each of {len(self)} "
                    f"environments, got {describe(values)} ({error})"
                ) from error
            if last is not None:
                return {
                    key: codec.encode(get_entry(last, codec.path))
                    for key, codec in self._observations.items()
                }
        raise EnvError(
            f"environment {index} ended an episode, whose last observation must be in the info in "
            f"the mode SameStep, as one of {', '.join(FINAL_KEYS)}; got {describe(own)}"
        )

    def _stack(self, rows):
        rows = [self._checked(row) for row in rows]
        return {
            key: np.stack([row[key] for row in rows]) for key in (*self._observations, *STEP_SPACES)
        }

    def _checked(self, row):
        for key, space in (self.obs_space | STEP_SPACES).items():
            if space.dtype != np.float32:
                check_value(key, row[key], space)
            row[key] = np.array(row[key], space.dtype)  # The simulator may reuse its arrays.
            if space.dtype == np.float32 and not np.isfinite(row[key]).all():
                raise EnvError(f"{key!r}: expected finite numbers, got {row[key]}")
        return row


def is_vectorized(environment: Any) -> bool:
    """Whether something is a VectorEnv of gymnasium, by its attributes."""
    names = ("num_envs", "single_observation_space", "single_action_space")
    return not isinstance(environment, type) and all(hasattr(environment, n) for n in names)


def _mode_of(env):
    if not is_vectorized(env):
        raise EnvError(
            f"expected a gymnasium VectorEnv, with num_envs, single_observation_space and "
            f"single_action_space; got {type(env).__name__}"
        )
    mode = (getattr(env, "metadata", None) or {}).get("autoreset_mode")
    mode = getattr(mode, "value", mode)
    if mode not in _MODES:
        raise EnvError(
            f"{type(env).__name__}: metadata['autoreset_mode'] says what follows the end of an "
            f"episode; expected one of gymnasium.vector.AutoresetMode, {', '.join(_MODES)}, got "
            f"{mode!r}"
        )
    return mode


def _at(values, index):
    """One environment's part of a batch: arrays, in dicts or not."""
    if isinstance(values, Mapping):
        return {key: _at(value, index) for key, value in values.items()}
    return values[index]


def _batch(singles):
    if isinstance(singles[0], dict):
        return {key: _batch([single[key] for single in singles]) for key in singles[0]}
    return np.stack(singles)
