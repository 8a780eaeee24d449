"""Several environments that act side by side."""

import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from dreamer_tf.envs.base import Env, make_row
from dreamer_tf.envs.errors import EnvAbandoned, EnvDied, EnvError
from dreamer_tf.envs.host import InlineHost
from dreamer_tf.envs.process import ProcessHost
from dreamer_tf.specs import LOG_PREFIX, STEP_SPACES, Row, Space, are_alike

logger = logging.getLogger(__name__)

_HOSTS: dict[str, Callable[..., Any]] = {"process": ProcessHost, "inline": InlineHost}
_MOST_DEATHS = 3  # Without a completed step between them; the next one stops the run.
_MOST_CUT = 20  # Deaths without an episode that ended between them; this one stops it.
_LONG = 10_000  # Steps after which a death is of another time than those before it.


class VectorEnv:
    """Environments that are stepped together, each in a process of its own or all in this one.

    Episode ``k`` of environment ``i`` is the same whatever happened to the processes: its seed
    comes from the seed here, ``i`` and ``k``. An environment that crashes, is killed or raises
    an error is built anew; its episode is cut off at the last observation, and its next command
    must be a reset.
    """

    def __init__(
        self,
        constructors: Sequence[Callable[[], Env]],
        *,
        seed: int,
        workers: str | Callable[..., Any] = "process",
        told: set[str] | None = None,
        step_timeout: float = 0.0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        """Builds all environments.

        Args:
          constructors: One function per environment, without arguments, that returns an `Env`.
          seed: Non-negative integer.
          workers: ``process``, or ``inline`` for no processes (do not render beside TensorFlow);
            or a function that starts one elsewhere, such as `RayNodes`.
          told: Set of the notices that need not be told again; those told are added.
          step_timeout: Seconds after which an environment that does not answer to a reset, step or
            render counts as dead; 0: never. One that is built anew has twice the time of the first
            start in addition. See `InlineHost` for where ``inline`` cannot tell.
          stopped: Function without arguments: whether the run is to stop. Then nobody waits for an
            environment for longer than some seconds.

        Raises:
          EnvError: If an environment cannot be built, or they differ in their spaces.
          EnvAbandoned: If the run is to stop, and an environment takes too long.
        """
        if not callable(workers) and workers not in _HOSTS:
            raise ValueError(f"workers must be one of {', '.join(_HOSTS)}, got {workers!r}")
        if not constructors:
            raise ValueError("a VectorEnv needs at least one constructor")
        self._constructors = list(constructors)
        make_host: Callable[..., Any] = workers if callable(workers) else _HOSTS[workers]
        self._make_host = functools.partial(make_host, limit=step_timeout, stopped=stopped)
        self._seed, self._stopped, self._limit = seed, stopped, step_timeout
        count = len(self._constructors)
        self._episodes = np.zeros(count, np.int64)
        self._running = np.zeros(count, bool)
        self._steps = np.zeros(count, int)
        # Steps of the episodes that deaths cut, since one that ended otherwise.
        self._cut: list[list[int]] = [[] for _ in range(count)]
        self._died = np.zeros(count, bool)
        self._told: set[str] = set() if told is None else told
        self._last_obs: list[Row] = [{}] * count
        self._hosts: list[Any] = []
        try:
            self._hosts += [self._make_host(constructor) for constructor in self._constructors]
            began = time.monotonic()
            spaces = [self._wait(index) for index in range(count)]
            self._start_seconds = time.monotonic() - began
            common = _common(spaces)
            self._obs_space, self._act_space, self._native_act_space, self._frames_per_step = common
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._constructors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def obs_space(self) -> dict[str, Space]:
        """Dict of observation key to `Space`, without the batch dimension."""
        return self._obs_space

    @property
    def act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`, without the batch dimension."""
        return self._act_space

    @property
    def native_act_space(self) -> dict[str, Space]:
        """Dict of action key to `Space`: the actions as the simulator itself takes them."""
        return self._native_act_space

    @property
    def frames_per_step(self) -> int:
        """Simulator frames (``env_frames``) that one step of one environment usually takes."""
        return self._frames_per_step

    @property
    def episodes(self) -> np.ndarray:
        """Number of episodes that each environment began, an int array of ``[N]``."""
        return self._episodes.copy()

    @property
    def died(self) -> np.ndarray:
        """Which environments died at the last step, which so cut their episode, bool of ``[N]``."""
        return self._died.copy()

    def restore(self, episodes: ArrayLike) -> None:
        """Continues the sequence of episodes of an earlier run; the next step must reset all.

        Deaths are counted anew.

        Args:
          episodes: What `episodes` was then, ``[N]``.
        """
        episodes = np.asarray(episodes, np.int64)
        if episodes.shape != self._episodes.shape:
            raise ValueError(f"expected {len(self)} counts of episodes, got {episodes.tolist()}")
        self._episodes = episodes.copy()
        self._running[:] = False
        self._cut = [[] for _ in range(len(self))]

    def step(self, actions: Mapping[str, np.ndarray], reset: ArrayLike) -> dict[str, np.ndarray]:
        """Steps or resets every environment; all of them work at the same time.

        Args:
          actions: Dict of action key to array of ``[N, ...]``; ignored where ``reset``.
          reset: Which environments begin a new episode, bool of ``[N]``. Needed at the start and
            after a row with ``is_last``.

        Returns:
          Dict of observation keys, ``reward``, ``is_first``, ``is_last`` and ``is_terminal`` to
          arrays of ``[N, ...]``; what ended episodes say for the log, as float32 ``[N]``, NaN for
          the others.

        Raises:
          EnvError: If an environment returns what its spaces do not allow, or dies again and
            again.
          EnvAbandoned: If the run is to stop, and an environment takes too long. The step has not
            been made then, and none can be.
        """
        reset = np.asarray(reset, bool)
        self._check_call(actions, reset)
        self._episodes += reset
        self._steps[reset] = 0
        self._died[:] = False
        for index, host in enumerate(self._hosts):
            if reset[index]:
                host.send("reset", self._episode_seed(index))
            else:
                host.send("step", {key: actions[key][index] for key in self._act_space})
        try:
            rows = [self._receive(index, reset[index]) for index in range(len(self))]
        except EnvAbandoned:
            self._episodes -= reset
            raise
        self._running = np.array([not row["is_last"] for row in rows])
        spaces = {**self._obs_space, **STEP_SPACES}
        logged = {key for row in rows for key in row if key.startswith(LOG_PREFIX)}
        arrived = {
            key: np.stack([row[key] for row in rows]).astype(space.dtype, copy=False)
            for key, space in spaces.items()
        }
        # Of the copies: an environment in this process may reuse its arrays.
        self._last_obs = [{k: arrived[k][i] for k in self._obs_space} for i in range(len(self))]
        return arrived | {
            key: np.array([row.get(key, np.nan) for row in rows], np.float32) for key in logged
        }

    def play_again(self, episodes: Mapping[int, Iterator[Row]]) -> dict[int, str | None]:
        """Brings environments to where earlier episodes of theirs stood, action by action.

        Each begins the episode that `episodes` counted last, and is in it afterwards if it arrived
        at all the given rows; otherwise the next step must reset it.

        Args:
          episodes: Dict of index to the rows from the episode's first on, the actions that led to
            them among their keys.

        Returns:
          Dict of index to what was different, in words; None where nothing was.

        Raises:
          EnvAbandoned: If the run is to stop before all of them arrived.
        """
        outcome: dict[int, str | None] = dict.fromkeys(episodes)
        left = dict(episodes)
        number = 0
        while left:
            if self._stopped():
                raise EnvAbandoned(f"episodes were played again up to row {number}, and no further")
            due = {index: row for index, rows in left.items() if (row := next(rows, None))}
            for index, row in due.items():
                if number:
                    action = {key: row[key] for key in self._act_space}
                    self._hosts[index].send("step", action)
                else:
                    self._hosts[index].send("reset", self._episode_seed(index))
            for index, row in due.items():
                problem = self._difference(index, row)
                if problem:
                    outcome[index] = f"row {number}: {problem}"
            left = {index: left[index] for index in due if not outcome[index]}
            number += 1
        for index, problem in outcome.items():
            self._running[index] = not problem
        return outcome

    def _difference(self, index, row):
        """How the reply of one environment differs from a row; None where it does not."""
        try:
            got = self._reply(index)
        except EnvDied as error:
            self._rebuild(index, error)
            return "it died"
        except EnvError as error:
            return str(error)
        for key, space in {**self._obs_space, **STEP_SPACES}.items():
            if not np.array_equal(np.asarray(got[key], space.dtype), row[key]):
                return f"{key!r} is not what it was"
        self._last_obs[index] = {key: np.array(row[key]) for key in self._obs_space}
        self._count(index, got)
        return None

    def render(self, index: int = 0) -> np.ndarray:
        """A picture of one environment's present state, uint8 of ``[height, width, channels]``.

        Raises:
          EnvError: If the environment draws no pictures.
        """
        self._hosts[index].send("render")
        return self._reply(index)

    def close(self) -> None:
        """Closes the environments and ends their processes."""
        for host in self._hosts:
            host.send("close")  # All of them end at the same time.
        while self._hosts:
            self._hosts.pop().close()

    def _receive(self, index, reset):
        """The row of one environment, whatever it takes."""
        while True:
            try:
                row = self._reply(index)
            except EnvError as error:
                raise _numbered(index, error) from error
            except EnvDied as error:
                self._rebuild(index, error)
                if not reset:
                    self._died[index] = True
                    return make_row(self._last_obs[index], is_last=True)
                self._hosts[index].send("reset", self._episode_seed(index))
                continue
            self._count(index, row)
            return row

    def _reply(self, index):
        """The reply of one environment, its notices told."""
        try:
            return self._hosts[index].receive()
        finally:
            self._tell(index)

    def _tell(self, index):
        for identity, text in self._hosts[index].take_notices():
            if identity not in self._told:
                self._told.add(identity)
                logger.warning("%s", text)

    def _count(self, index, row):
        """Notes how far an episode has come; forgets deaths when it ends, or is long."""
        self._steps[index] = 0 if row["is_first"] else self._steps[index] + 1
        if row["is_last"] or self._steps[index] == _LONG:
            self._cut[index] = []

    def _rebuild(self, index, error):
        if self._stopped():  # Whoever ends a run may have signalled its simulators, too.
            raise EnvAbandoned(
                f"environment {index} died while the run was to stop: {error}"
            ) from error
        self._check_deaths(index, error)
        logger.warning(
            "Environment %d died and is built anew; its episode is cut off here. %s", index, error
        )
        self._hosts[index].close()
        self._hosts[index] = self._make_host(self._constructors[index])
        # Simulators may start for longer than they ever take for a step.
        limit = self._limit and round(self._limit + 2 * self._start_seconds, 1)
        try:
            self._wait(index, limit)
        except EnvDied as another:
            self._rebuild(index, another)

    def _check_deaths(self, index, error):
        """Counts a death; raises `EnvError` if there were too many."""
        cut = self._cut[index]
        cut.append(int(self._steps[index]))
        self._steps[index] = 0
        if len(cut) > _MOST_DEATHS and not any(cut[-_MOST_DEATHS:]):
            raise EnvError(
                f"environment {index} died {_MOST_DEATHS + 1} times without completing a step "
                f"in between; the last time: {error}"
            ) from error
        if len(cut) >= _MOST_CUT:
            raise EnvError(
                f"environment {index} dies in every episode, {len(cut)} in a row, after "
                f"{min(cut)} to {max(cut)} steps; if it raises at its time limit, set "
                f"env.time_limit; illegal actions must not raise; the last time: {error}"
            ) from error

    def _wait(self, index, limit=None):
        try:
            return self._hosts[index].wait_until_ready(limit)
        except EnvError as error:
            raise _numbered(index, error) from error
        finally:
            self._tell(index)

    def _episode_seed(self, index):
        """Seed of the episode that an environment is in, counted from zero."""
        key = (index, int(self._episodes[index]) - 1)
        seed = np.random.SeedSequence(self._seed, spawn_key=key).generate_state(1)[0]
        return int(seed)

    def _check_call(self, actions, reset):
        if reset.shape != (len(self),):
            raise ValueError(f"reset: expected shape ({len(self)},), got {reset.shape}")
        ended = np.flatnonzero(~reset & ~self._running)
        if ended.size:
            raise ValueError(f"environments {ended.tolist()} have no running episode: reset them")
        if actions.keys() != self._act_space.keys():
            raise ValueError(
                f"expected the action keys {sorted(self._act_space)}, got {sorted(actions)}"
            )
        for key, space in self._act_space.items():
            expected, got = (len(self), *space.shape), np.shape(actions[key])
            if got != expected:
                raise ValueError(f"{key!r}: expected actions of shape {expected}, got {got}")


def _numbered(index, error):
    return EnvError(*(f"environment {index}: {problem}" for problem in error.problems))


def _common(spaces):
    """What all environments agree on.

    Raises:
      EnvError: If they differ; names the first that does.
    """
    for index, other in enumerate(spaces):
        # Nothing relies on the bounds of observed numbers.
        if other[1:] != spaces[0][1:] or not are_alike(other[0], spaces[0][0]):
            raise EnvError(
                f"environment {index} differs from environment 0: (observations, actions, "
                f"actions of the simulator, frames per step) {other} instead of {spaces[0]}"
            )
    return spaces[0]
