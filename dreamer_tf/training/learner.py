"""Blocks of updates, what an agent carries from one to the next, and what is measured meanwhile."""

import collections
import concurrent.futures
import contextlib
import functools
import threading
import time
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dreamer_tf.config import ConfigError
from dreamer_tf.replay import Batch, Prefetch


class Learner:
    """Trains an agent on batches that a thread prepares, also as tensors, ahead of their use.

    Where the agent has a carry, a sequence starts from that of the last batch, from what the replay
    kept of it, or from nothing; and the replay is told what it is by now.

    Nothing of an update is read before the next one has been started, so that a device that works
    ahead never waits for this program: whether it was skipped, and what the replay is told. Where a
    sequence begins at a row that the replay is yet to be told about, it starts from that all the
    same, on the device.
    """

    def __init__(
        self, agent, replay, *, carry, batch_size, batch_length, counters, stopwatch, guard
    ):
        """Draws no batch yet.

        Args:
          agent: `dreamer_tf.agents.Agent`, or on several devices what a `Team` leads.
          replay: `dreamer_tf.replay.Replay`.
          carry: `Carry`.
          batch_size: Sequences in a batch (B).
          batch_length: Rows in a sequence (T).
          counters: `Counters`; ``grad_steps`` is counted up here.
          stopwatch: `Stopwatch` for the activities ``data`` and ``updating``; its own, where
            updates are made beside what else is timed.
          guard: `NonFiniteGuard`.
        """
        self._agent = agent
        self._replay = replay
        self._size = batch_size, batch_length
        self._prefetch = Prefetch(
            replay, batch_size=batch_size, length=batch_length, convert=_to_tensors
        )
        self._carry = carry
        self._counters = counters
        self.stopwatch = stopwatch
        self._guard = guard
        self._unwritten = None
        self._tracing = None
        self.averages = Averages()

    def is_ready(self, whole_batch=False):
        """Whether the replay holds enough to learn from.

        Args:
          whole_batch: Whether that is as many rows to begin a sequence from as a batch has rows;
            otherwise one sequence.
        """
        batch_size, length = self._size
        return self._replay.can_sample(length, batch_size * length if whole_batch else 1)

    def trace_ahead(self):
        """Begins to trace the update in a thread, for while there is nothing to learn from."""
        executor = concurrent.futures.ThreadPoolExecutor(1, "tracing")
        self._tracing = executor.submit(self._agent.trace_update, *self._size)
        executor.shutdown(wait=False)

    def update(self, count, interrupt, store=lambda access, again=None: access()):
        """Makes a block of updates.

        Args:
          count: Number of updates.
          interrupt: Function without arguments, called after each; if it returns true, the block
            ends early.
          store: `Storing`, which waits where the replay cannot be read or told; by default nobody
            does.

        Returns:
          Number of updates made.

        Raises:
          NonFiniteError: If too many in a row were skipped.
          OSError: If the replay could not be read or told.
        """
        if count and self._tracing:
            tracing, self._tracing = self._tracing, None
            tracing.result()
        made = 0
        with self._prefetch.block(count) as batches:
            try:
                while made < count:
                    with self.stopwatch.section("data"):
                        again = functools.partial(self._draw_anew, batches, store)
                        batch = store(functools.partial(next, batches), again)
                    with self.stopwatch.section("updating"):
                        metrics = self._update(batch, store)
                    self.averages.add(metrics)
                    made += 1
                    if interrupt():
                        break
            finally:
                # What comes after a block, a checkpoint for one, finds the replay up to date. A
                # device that works ahead is waited for here.
                with self.stopwatch.section("updating"):
                    self._write(store)
            with self.stopwatch.section("updating"):
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

    def _draw_anew(self, batches, store):
        """The next batch, where it could not be read before."""
        self._write(store)  # The batch before is then no longer in use.
        batches.draw_anew()
        return next(batches)

    def _update(self, batch, store):
        kept = store(lambda: self._replay.carry(batch))
        if kept and self._unwritten:
            kept = self._unwritten.over(kept, batch)
        before = self._carry.begin(batch.continues, kept)
        metrics, after = self._agent.train_step(batch.rows, before)
        self._counters.grad_steps += 1
        self._write(store)
        if self._carry.is_used:
            self._carry.keep(after, metrics["nonfinite"])
            if self._replay.carry_space:
                self._unwritten = _Unwritten(batch, metrics["nonfinite"], after)
        self._guard.watch(self._counters.grad_steps, batch.rows, metrics)
        return metrics

    def _write(self, store):
        """Tells the replay what the last update carries out of its rows."""
        waiting, self._unwritten = self._unwritten, None
        # What was not finite in a skipped update must not come back as a start.
        if waiting and not float(waiting.nonfinite):
            carry = {key: np.asarray(value) for key, value in waiting.carry.items()}
            store(lambda: self._replay.update(waiting.batch, carry))


class _Unwritten(NamedTuple):
    """What an update carries out of its rows, before the replay knows.

    Attributes:
      batch: `Batch`.
      nonfinite: Scalar tensor, 1 if the update was skipped.
      carry: Dict of key to tensor ``[B, T, ...]``.
    """

    batch: Batch
    nonfinite: Any
    carry: dict[str, Any]

    def over(self, kept, batch):
        """What the replay will have kept for the next batch, as tensors.

        Args:
          kept: Dict of key to array ``[B, ...]``: what it has kept so far.
          batch: `Batch`, the next one.
        """
        rows = batch.rows_before(self.batch)
        is_newer = tf.logical_and(rows >= 0, tf.equal(self.nonfinite, 0.0))
        result = {}
        for key, values in kept.items():
            carried = tf.reshape(self.carry[key], [-1, *values.shape[1:]])
            newer = tf.cast(tf.gather(carried, np.maximum(rows, 0)), values.dtype)
            result[key] = tf.where(_like(is_newer, newer), newer, values)
        return result


def check_carry(agent, config):
    """Raises `ConfigError` where options of the replay do not go with what an agent carries.

    Args:
      agent: `dreamer_tf.agents.Agent`.
      config: `Config`.
    """
    options, name = config.replay, config.agent
    carries_on = bool(agent.initial_carry(1))
    if options.carry and not agent.carry_space:
        raise ConfigError(
            f"replay.carry is true, but the agent {name!r} hands nothing that it carries to the "
            f"replay; set it to false."
        )
    if options.consecutive > 1 and not carries_on:
        raise ConfigError(
            f"replay.consecutive is {options.consecutive}, but the agent {name!r} carries nothing "
            f"from batch to batch; set it to 1."
        )
    if options.consecutive == 1 and carries_on and not agent.carry_space:
        raise ConfigError(
            f"replay.consecutive is 1, but the agent {name!r} carries its state from batch to "
            f"batch, where no sequence goes on then; set it to more, or let it carry nothing."
        )


class Carry(tf.Module):
    """What an agent carries from batch to batch: its state before each sequence's first row.

    Its variables belong into a checkpoint: a continued run then learns from what an uninterrupted
    one would have learned from.
    """

    def __init__(self, agent, batch_size):
        """Creates the variables; none if the agent carries nothing.

        Args:
          agent: `dreamer_tf.agents.Agent`.
          batch_size: Sequences in a batch (B).
        """
        super().__init__(name="carry")
        initial = agent.initial_carry(batch_size)
        self._keys = tuple(initial)
        self._initial = tuple(initial[key] for key in self._keys)
        # Of any batch size, so that a run may be continued with another one.
        self._last = tuple(
            tf.Variable(value, trainable=False, shape=[None, *value.shape[1:]], name=key)
            for key, value in zip(self._keys, self._initial, strict=True)
        )

    @property
    def is_used(self):
        """Whether the agent carries anything."""
        return bool(self._keys)

    def begin(self, continues, kept):
        """The carry before the first row of each sequence.

        Args:
          continues: ``[B]`` bool array: which sequences go on where they ended in the last batch.
          kept: Dict of key to array ``[B, ...]``: what the replay kept for the others; empty:
            nothing.

        Returns:
          What `Agent.train_step` takes as carry.
        """
        if not self.is_used:
            return ()
        new = [tf.convert_to_tensor(kept[key]) for key in self._keys] if kept else self._initial
        if continues.any():
            pairs = zip(self._last, new, strict=True)
            new = [tf.where(_like(continues, value), last, value) for last, value in pairs]
        return dict(zip(self._keys, new, strict=True))

    def keep(self, carry, nonfinite=0.0):
        """Keeps the carry after the last rows.

        Args:
          carry: What `Agent.train_step` returned, ``[B, T, ...]``.
          nonfinite: Scalar; 1 goes back to the carry before any row instead.
        """
        is_finite = tf.equal(nonfinite, 0.0)
        for key, last, initial in zip(self._keys, self._last, self._initial, strict=True):
            last.assign(tf.where(is_finite, carry[key][:, -1], initial))


def _to_tensors(batch):
    return batch._replace(
        rows={key: tf.convert_to_tensor(value) for key, value in batch.rows.items()}
    )


def _like(flags, values):
    """Flags ``[B]`` with the number of axes of values ``[B, ...]``."""
    return tf.reshape(flags, [-1] + [1] * (values.shape.rank - 1))


# ---- What is measured.


class Averages:
    """Averages scalars over an interval.

    What comes in may be tensors; they are read when the average is asked for, so that collecting
    them never waits for a device. One thread may add while another takes.
    """

    def __init__(self):
        self._values = collections.defaultdict(list)
        self._lock = threading.Lock()

    def add(self, metrics):
        """Adds a dict of scalars, numbers or tensors."""
        with self._lock:
            for key, value in metrics.items():
                self._values[key].append(value)

    def take(self):
        """Returns the means as a dict of floats and begins a new interval.

        Values that are not finite, those of a skipped update, are left out; so is a key that has
        no other.
        """
        with self._lock:
            taken, self._values = self._values, collections.defaultdict(list)
        means = {}
        for key, values in taken.items():
            numbers = np.array([float(value) for value in values])
            numbers = numbers[np.isfinite(numbers)]
            if numbers.size:
                means[key] = float(numbers.mean())
        return means


class Stopwatch:
    """Splits the time of an interval among activities, in seconds.

    One thread may measure while another takes.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._sections = collections.defaultdict(float)
        self._totals = collections.defaultdict(float)
        self._start = time.perf_counter()

    @contextlib.contextmanager
    def section(self, name):
        """Adds the time spent inside to an activity. Sections do not nest."""
        start = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - start
            with self._lock:
                self._sections[name] += seconds
                self._totals[name] += seconds

    def total(self, *names):
        """Seconds spent in activities since the stopwatch was made, whatever the interval."""
        return sum(self._totals[name] for name in names)

    def take(self):
        """Returns (seconds by activity, seconds in all) and begins a new interval."""
        now = time.perf_counter()
        with self._lock:
            sections, self._sections = self._sections, collections.defaultdict(float)
        total, self._start = now - self._start, now
        return dict(sections), total
