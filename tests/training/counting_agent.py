"""An agent without a network whose numbers show what it saw, and an environment to go with it."""

import numpy as np
import tensorflow as tf

from dreamer_tf.agents import Agent
from dreamer_tf.agents.base import PolicyState
from dreamer_tf.specs import Space
from tests.counting import CountingEnv


class SeededEnv(CountingEnv):
    """Episodes of 3 to 9 steps whose rewards depend on seed, step and action."""

    def reset(self, seed):
        self._length = 3 + seed % 7
        self._episode = -1  # Nothing tells how often this object was reset.
        return super().reset(seed)

    def step(self, action):
        row = super().step(action)
        noise = np.random.default_rng([self._seed, self._count]).uniform()
        reward = noise + float(np.sum(row["echo"])) / 10
        return row | {"reward": np.float32(reward)}


class CountingAgent(Agent):
    """Acts on counts and a random draw; learns a weight that every batch changes.

    The policy's state counts the steps since the last ``is_first``; in eval mode the action is
    that count over 100, in train mode there is noise added. ``weight`` depends on every batch, its
    order, and the random numbers; ``updates`` counts.

    Args:
      config: `Config`; the seed is used.
      obs_space: Dict of `Space`.
      act_space: Dict of `Space`.
      nonfinite: Updates, counted from 1, that report themselves as skipped.
    """

    def __init__(self, config, obs_space, act_space, nonfinite=()):
        super().__init__(config, obs_space, act_space, "counting")
        self.weight = tf.Variable(tf.zeros(3), name="weight")
        self.updates = tf.Variable(0, dtype=tf.int64, name="updates")
        self.nonfinite = tuple(nonfinite)
        self.batch_shapes = set()

    def initial_state(self, batch_size):
        count = tf.zeros([batch_size])
        return PolicyState(count, (), self._keep(count))

    def policy_noise(self, batch_size, rng, mode):
        size = self.act_space["action"].shape[0]
        return rng.uniform([batch_size, size], -0.1, 0.1) if mode == "train" else None

    def act(self, obs, state, is_first, noise, mode):
        count = tf.where(is_first, tf.zeros_like(state.latent), state.latent)
        size = self.act_space["action"].shape[0]
        action = tf.repeat(count[:, None] / 100, size, axis=1)
        if mode == "train":
            action += noise + self.weight[0] / 100
        state = PolicyState(count + 1, (), self._keep(count + 1))
        return {"action": tf.clip_by_value(action, -1.0, 1.0)}, state

    def _keep(self, count):
        return {}

    def update_noise(self, batch_size, length):
        raise NotImplementedError("it learns eagerly, in train_step")

    update = update_noise

    def trace_update(self, batch_size, length):
        """It is not traced."""

    def train_step(self, batch, carry):
        self.batch_shapes.add(batch["reward"].shape)
        self.updates.assign_add(1)
        step = int(self.updates)
        skipped = step in self.nonfinite
        seen = tf.stack([tf.reduce_mean(batch["reward"]), tf.reduce_mean(batch["count"])])
        if not skipped:
            noise = self.rng.normal([1])
            self.weight.assign(0.9 * self.weight + tf.concat([seen, noise], 0))
        loss = tf.constant(np.nan) if skipped else tf.reduce_sum(self.weight)
        metrics = {"count_loss": loss, "nonfinite": tf.constant(float(skipped))}
        return metrics, carry

    def report(self, batch):
        count = tf.cast(batch["count"][..., None, None], tf.uint8)
        return {"openloop_mse": 0.5, "openloop/count": np.tile(count, [1, 1, 8, 8, 1])}

    def parameter_counts(self):
        return {"weight": 3}


class RememberingAgent(CountingAgent):
    """Remembers after each row how many rows of its episode it has seen; zero is: nothing.

    ``starts`` are, for each sequence it learned from, the rows of its episode before the first, and
    what it remembered of them. Its weight depends on them.
    """

    def __init__(self, *args):
        super().__init__(*args)
        self.starts = []

    @property
    def carry_space(self):
        return {"rows_seen": Space(np.int32, (1,))}

    def _keep(self, count):
        return {"rows_seen": tf.cast(count[:, None], tf.int32)}

    def initial_carry(self, batch_size):
        return {"rows_seen": tf.zeros([batch_size, 1], tf.int32)}

    def train_step(self, batch, carry):
        rows_before = batch["count"][:, 0].numpy()
        remembered = carry["rows_seen"].numpy()
        self.starts += zip(rows_before[:, 0].tolist(), remembered[:, 0].tolist(), strict=True)
        metrics, _ = super().train_step(batch, ())
        self.weight.assign_add([0.0, 0.0, float(np.mean(remembered)) / 100])
        return metrics, {"rows_seen": tf.cast(batch["count"] + 1, tf.int32)}
