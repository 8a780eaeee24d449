"""Steps environments with a policy and hands out rows; adds rows up to episodes.

`training_policy` is the policy of the episodes that the replay keeps.
"""

import dataclasses
import math

import numpy as np

from dreamer_tf.specs import LOG_PREFIX


class Driver:
    """Plays environments side by side, one row each per step.

    The time alignment of `dreamer_tf.specs` is made here and nowhere else: a row holds the
    action that *led to* its observation, and zeros where an episode begins::

        step         0        1        2                 the environment reports is_last at 2
        policy sees  -        row 0    row 1    -
        and decides  -        a_0      a_1      -        (nothing to decide before a reset)
        row          0, o_0   a_0, o_1 a_1, o_2 0, o_0'
    """

    def __init__(self, envs, callbacks=(), carry=None):
        """Begins before the first step.

        Args:
          envs: `dreamer_tf.envs.VectorEnv`, or what has its `step`, `act_space` and ``len``; see
            `dreamer_tf.envs.GymVectorEnv` for ``ended``.
          callbacks: Functions of (row, stream): a dict of arrays without batch dimension, and the
            index of the environment it comes from.
          carry: Dict of key to `Space`: what policies may return beside the actions, for the replay
            to keep. It goes into the row that the actions lead to, zeros where an episode begins or
            nothing was returned.
        """
        self._envs = envs
        self._callbacks = list(callbacks)
        count = len(envs)
        self._idle = {
            key: np.zeros((count, *space.shape), space.dtype)
            for key, space in (envs.act_space | (carry or {})).items()
        }
        self._reset = np.ones(count, bool)
        self._arrived = None
        self._state = None

    def step(self, policy):
        """Steps every environment once and hands its row to the callbacks.

        Args:
          policy: Function of (arrived, state) to (actions, state). ``arrived`` is what the
            environments returned, arrays ``[N, ...]``; ``state`` is None at first and afterwards
            whatever the policy returned; ``actions`` is a dict of arrays ``[N, ...]``, with
            entries of the carry among them.

        Returns:
          Number of environments that took an action; the others began an episode.
        """
        began = self._reset
        decided = self._idle
        if not began.all():
            actions, self._state = policy(self._arrived, self._state)
            decided = decided | actions
        actions = {key: decided[key] for key in self._envs.act_space}
        self._arrived = self._envs.step(actions, began)
        self._reset = self._arrived["is_last"]
        # Of environments that begin their next episode by themselves two rows arrive at once.
        ended = getattr(self._envs, "ended", {})
        anew = began | np.isin(np.arange(len(self._envs)), list(ended))
        rows = {**self._arrived, **{key: _led_to(d, anew) for key, d in decided.items()}}
        for stream in range(len(self._envs)):
            if stream in ended:
                led = {key: values[stream] for key, values in decided.items()}
                self._hand_out(ended[stream] | led, stream)
            self._hand_out({key: values[stream] for key, values in rows.items()}, stream)
        return int(np.count_nonzero(~began))

    def _hand_out(self, row, stream):
        for callback in self._callbacks:
            callback(row, stream)

    def begin_anew(self, stream):
        """Leaves the episode that an environment is in; its next step begins another."""
        self._reset = self._reset.copy()
        self._reset[stream] = True


class HandOver:
    """A policy that lets the running episodes end under one policy before the next takes over."""

    def __init__(self, before, after, patience=None):
        """Takes both policies.

        Args:
          before: Policy that plays the episodes already begun.
          after: Policy for every episode that begins from now on.
          patience: ``[N]``, how many more actions the running episode of each environment may take
            under ``before``; None: all it needs.
        """
        self._before = before
        self._after = after
        self._patience = None if patience is None else np.array(patience)
        self._over = None

    def __call__(self, arrived, state):
        """Decides for every environment, as `Driver.step` asks for."""
        is_first = arrived["is_first"]
        self._over = is_first if self._over is None else self._over | is_first
        if self._patience is not None:
            self._over = self._over | (self._patience <= 0)
            self._patience -= 1
        states = state if isinstance(state, _Both) else _Both(state, None)
        old = new = None
        if not self._over.all():
            old, states.before = self._before(arrived, states.before)
        if self._over.any():
            new, states.after = self._after(arrived, states.after)
        if old is None or new is None:
            return (new if old is None else old), states
        # Only one of them may hand out a carry.
        actions = {
            key: np.where(_mask(self._over, value), value, old.get(key, np.zeros_like(value)))
            for key, value in new.items()
        }
        return actions, states


class _Both:
    """The states of the two policies during a hand-over."""

    def __init__(self, before, after):
        self.before = before
        self.after = after


def training_policy(agent, replay):
    """The policy of training episodes.

    Args:
      agent: `dreamer_tf.agents.Agent`.
      replay: The `Replay` that stores them.

    Returns:
      Function of observations and state to actions and state, as `Driver.step` asks for. What
      the replay keeps of the agent's carry is among the actions.
    """

    def policy(obs, state):
        actions, state = agent.policy(obs, state, mode="train")
        if replay.carry_space:
            actions = actions | {key: value.numpy() for key, value in state.carry.items()}
        return actions, state

    return policy


@dataclasses.dataclass(frozen=True)
class Episode:
    """A finished episode.

    Attributes:
      score: Sum of the rewards.
      length: Agent steps.
      stream: Index of the environment that played it.
      log: Dict of the numbers that the environment has for the log, by ``log_<name>``.
    """

    score: float
    length: int
    stream: int
    log: dict[str, float]


class EpisodeStatistics:
    """Adds up the rewards of each stream; a callback of the driver."""

    def __init__(self, on_episode):
        """Begins without episodes.

        Args:
          on_episode: Function that receives each finished `Episode`.
        """
        self._on_episode = on_episode
        self._rewards = {}
        self.longest = 0
        """Most agent steps of a finished episode."""

    def running(self, stream):
        """Agent steps so far of the episode that a stream is in."""
        return len(self._rewards.get(stream, ()))

    def __call__(self, row, stream):
        """Takes in one row."""
        if row["is_first"]:
            self._rewards[stream] = []
        else:
            self._rewards[stream].append(float(row["reward"]))
        if row["is_last"]:
            log = {key: float(row[key]) for key in row if key.startswith(LOG_PREFIX)}
            log = {key: value for key, value in log.items() if math.isfinite(value)}
            self.longest = max(self.longest, self.running(stream))
            self.end(stream, log)

    def end(self, stream, log=None):
        """Hands out the episode that a stream is in, as far as it is."""
        rewards = self._rewards.pop(stream)
        self._on_episode(Episode(math.fsum(rewards), len(rewards), stream, log or {}))


def _led_to(actions, began):
    return np.where(_mask(began, actions), np.zeros_like(actions), actions)


def _mask(flags, values):
    return flags.reshape((-1,) + (1,) * (values.ndim - 1))
