"""What an agent remembers from one batch to the next."""

import tensorflow as tf


class Carry(tf.Module):
    """The memory before the first row of each sequence of a batch.

    Its variables belong into a checkpoint: a continued run then learns from what an uninterrupted
    one would have learned from.
    """

    def __init__(self, agent, batch_size):
        """Creates the variables; none if the agent carries nothing.

        Args:
          agent: ``dreamer_tf.agents.Agent``.
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

    def begin(self, continues, context):
        """The memory before the first row of each sequence.

        Args:
          continues: ``[B]`` bool array: which sequences go on where they ended in the last batch.
          context: Dict of key to array ``[B, ...]``: what is known of the others; empty: nothing.

        Returns:
          What `Agent.train_step` takes as carry.
        """
        if not self.is_used:
            return ()
        if context:
            new = [tf.convert_to_tensor(context[key]) for key in self._keys]
        else:
            new = self._initial
        if continues.any():
            pairs = zip(self._last, new, strict=True)
            new = [tf.where(_like(continues, value), last, value) for last, value in pairs]
        return dict(zip(self._keys, new, strict=True))

    def keep(self, memory):
        """Keeps what `Agent.train_step` returned, the memory after each row ``[B, T, ...]``."""
        for key, last in zip(self._keys, self._last, strict=True):
            last.assign(memory[key][:, -1])

    def forget(self):
        """Goes back to the memory before any row."""
        for last, initial in zip(self._last, self._initial, strict=True):
            last.assign(initial)


def _like(flags, values):
    """Flags ``[B]`` with the number of axes of values ``[B, ...]``."""
    return tf.reshape(flags, [-1] + [1] * (values.shape.rank - 1))
