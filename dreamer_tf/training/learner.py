"""Blocks of updates."""

import numpy as np
import tensorflow as tf

from dreamer_tf.replay import Prefetch
from dreamer_tf.training.guard import NonFiniteGuard
from dreamer_tf.training.metrics import Averages


class Learner:
    """Trains an agent on batches that a thread prepares, also as tensors, ahead of their use.

    Where the agent remembers, a sequence starts from its memory of the last batch, from what the
    replay keeps of it, or from nothing; and the replay is told what the agent remembers by now.
    Both happen between two updates, never ahead of one.

    Args:
      agent: ``dreamer_tf.agents.Agent``.
      replay: ``dreamer_tf.replay.Replay``.
      carry: ``Carry``.
      batch_size: Sequences in a batch (B).
      batch_length: Rows in a sequence (T).
      counters: ``Counters``; ``grad_steps`` is counted up here.
      stopwatch: ``Stopwatch`` for the activities ``data`` and ``updating``.
      guard: ``NonFiniteGuard``.
    """

    def __init__(
        self, agent, replay, *, carry, batch_size, batch_length, counters, stopwatch, guard
    ):
        self._agent = agent
        self._replay = replay
        self._size = batch_size, batch_length
        self._prefetch = Prefetch(
            replay, batch_size=batch_size, length=batch_length, convert=_to_tensors
        )
        self._carry = carry
        self._counters = counters
        self._stopwatch = stopwatch
        self._guard: NonFiniteGuard = guard
        self.averages = Averages()

    @property
    def is_ready(self):
        """Whether the replay holds enough for a batch."""
        return self._replay.can_sample(self._size[1])

    def update(self, count, interrupt):
        """Makes a block of updates.

        Args:
          count: Number of updates.
          interrupt: Function without arguments, called after each; if it returns true, the block
            ends early.

        Returns:
          Number of updates made.

        Raises:
          NonFiniteError: If too many in a row were skipped.
        """
        made = 0
        with self._prefetch.block(count) as batches:
            while made < count:
                with self._stopwatch.section("data"):
                    batch = next(batches)
                with self._stopwatch.section("updating"):
                    metrics = self._update(batch)
                self.averages.add(metrics)
                made += 1
                if interrupt():
                    break
            self._guard.check()
        return made

    def draw(self):
        """Looks at the next batch, which stays the next: a dict of tensors ``[B, T, ...]``."""
        state = self._replay.state()
        batch = self._replay.sample(*self._size)
        self._replay.restore(state)
        return _to_tensors(batch).rows

    def close(self):
        """Ends the thread."""
        self._prefetch.close()

    def _update(self, batch):
        carry = self._carry.begin(batch.continues, self._replay.context(batch))
        metrics, memory = self._agent.train_step(batch.rows, carry)
        self._counters.grad_steps += 1
        self._guard.watch(self._counters.grad_steps, batch.rows, metrics)
        if self._carry.is_used:
            self._remember(batch, metrics, memory)
        return metrics

    def _remember(self, batch, metrics, memory):
        # What was not finite in a skipped update must not come back as a start.
        if float(metrics["nonfinite"]):
            self._carry.forget()
            return
        self._carry.keep(memory)
        if self._replay.context_space:
            self._replay.update(batch, {key: np.asarray(value) for key, value in memory.items()})


def _to_tensors(batch):
    return batch._replace(
        rows={key: tf.convert_to_tensor(value) for key, value in batch.rows.items()}
    )
