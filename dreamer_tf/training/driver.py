"""Steps environments with a policy and hands out rows; adds rows up to episodes.

`training_policy` is the policy of the episodes that the replay keeps.
"""

import dataclasses
import fractions
import math
from typing import Any, NamedTuple

import numpy as np

from dreamer_tf.specs import LOG_PREFIX, STEP_SPACES


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
          envs: `dreamer_tf.envs.VectorEnv`, or what has its `step`, `act_space` and ``len``.
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
        self.policy_state = None
        """What the policy returned with its last actions; None before."""

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
        decided, state = self._idle, self.policy_state
        if not began.all():
            actions, state = policy(self._arrived, state)
            decided = decided | actions
        actions = {key: decided[key] for key in self._envs.act_space}
        # A step that fails leaves everything as it was before.
        self._arrived = self._envs.step(actions, began)
        self.policy_state, self._reset = state, self._arrived["is_last"]
        rows = {**self._arrived, **{key: _led_to(d, began) for key, d in decided.items()}}
        for stream in range(len(self._envs)):
            row = {key: values[stream] for key, values in rows.items()}
            for callback in self._callbacks:
                callback(row, stream)
        return int(np.count_nonzero(~began))

    def resume(self, rows, policy_state):
        """Goes on in the middle of episodes.

        Args:
          rows: Dict of stream to the row that it arrived at last. The others begin an episode.
          policy_state: `policy_state` there.
        """
        count = len(self._envs)
        spaces = {**self._envs.obs_space, **STEP_SPACES}
        self._arrived = {k: np.zeros((count, *s.shape), s.dtype) for k, s in spaces.items()}
        for stream, row in rows.items():
            for key, values in self._arrived.items():
                values[stream] = row[key]
        self._reset = np.array([stream not in rows for stream in range(count)])
        self.policy_state = policy_state

    def begin_anew(self, stream):
        """Leaves the episode that an environment is in; its next step begins another."""
        self._reset = self._reset.copy()
        self._reset[stream] = True


class HandOver:
    """A policy that plays until another is due, and lets the running episodes end before."""

    def __init__(self, before, after, count):
        """Takes both policies.

        Args:
          before: Policy that plays, until `begin`, and then the episodes already begun.
          after: Policy for every episode that begins from then on.
          count: Environments (N).
        """
        self._before = before
        self._after = after
        self._over = np.zeros(count, bool)
        self._patience = None

    def begin(self, patience):
        """Lets the policy ``after`` take over.

        Args:
          patience: ``[N]``, how many more actions the running episode of each environment may take
            under ``before``.
        """
        self._patience = np.array(patience)

    @property
    def has_begun(self):
        """Whether `begin` was called."""
        return self._patience is not None

    def state(self):
        """What `restore` needs, as JSON values."""
        patience = None if self._patience is None else self._patience.tolist()
        return {"over": self._over.tolist(), "patience": patience}

    def restore(self, state):
        """Continues from what `state` returned."""
        self._over = np.array(state["over"])
        if state["patience"] is not None:
            self.begin(state["patience"])

    def __call__(self, arrived, states):
        """Decides for every environment, as `Driver.step` asks for; the state is a `BothStates`."""
        states = states or BothStates(None, None)
        if self._patience is not None:
            self._over = self._over | arrived["is_first"] | (self._patience <= 0)
            self._patience -= 1
        old = new = None
        before, after = states
        if not self._over.all():
            old, before = self._before(arrived, before)
        if self._over.any():
            new, after = self._after(arrived, after)
        states = BothStates(before, after)
        if old is None or new is None:
            return (new if old is None else old), states
        # Only one of them may hand out a carry.
        actions = {
            key: np.where(_mask(self._over, value), value, old.get(key, np.zeros_like(value)))
            for key, value in new.items()
        }
        return actions, states


class BothStates(NamedTuple):
    """The states of the two policies of a `HandOver`, None of one that has not played."""

    before: Any
    after: Any


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
        # Of each stream: agent steps, and the exact sum of the rewards.
        self._running = {}
        self.longest = 0
        """Most agent steps of a finished episode."""

    def running(self, stream):
        """Agent steps so far of the episode that a stream is in."""
        return self._running.get(stream, (0,))[0]

    def __call__(self, row, stream):
        """Takes in one row."""
        if row["is_first"]:
            self._running[stream] = 0, fractions.Fraction(0)
        else:
            length, score = self._running[stream]
            self._running[stream] = length + 1, score + fractions.Fraction(float(row["reward"]))
        if row["is_last"]:
            log = {key: float(row[key]) for key in row if key.startswith(LOG_PREFIX)}
            log = {key: value for key, value in log.items() if math.isfinite(value)}
            self.longest = max(self.longest, self.running(stream))
            self.end(stream, log)

    def end(self, stream, log=None):
        """Hands out the episode that a stream is in, as far as it is."""
        length, score = self._running.pop(stream)
        self._on_episode(Episode(float(score), length, stream, log or {}))

    def state(self):
        """What `restore` needs, as JSON values."""
        running = [
            [stream, length, str(score)] for stream, (length, score) in self._running.items()
        ]
        return {"longest": self.longest, "running": running}

    def restore(self, state, streams):
        """Continues from what `state` returned.

        Args:
          state: As returned.
          streams: Those that go on in their episodes.
        """
        self.longest = state["longest"]
        for stream, length, score in state["running"]:
            if stream in streams:
                self._running[stream] = length, fractions.Fraction(score)


def _led_to(actions, began):
    return np.where(_mask(began, actions), np.zeros_like(actions), actions)


def _mask(flags, values):
    return flags.reshape((-1,) + (1,) * (values.ndim - 1))
