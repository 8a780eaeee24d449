"""A network that follows another one slowly."""

import tensorflow as tf


class SlowCopy(tf.Module):
    """Moves the weights of a copy towards those of the network it follows, now and then.

    ``slow ← fraction · fast + (1 - fraction) · slow`` at every ``every``-th update, the first one
    included, which may go another way. A fraction of 1 is a hard copy, a small one at every update
    an exponential moving average. The copy changes in no other way, and begins as an exact one.

    Reference: arXiv:2010.02193, section 2 ("target network"); arXiv:1312.5602.
    """

    def __init__(self, slow, fast, *, every, fraction, first_fraction=1.0):
        """Copies the weights.

        Args:
          slow: Keras model, the copy.
          fast: Keras model of the same structure.
          every: Updates from one move to the next.
          fraction: How far each goes, above 0 up to 1.
          first_fraction: How far the first goes.
        """
        super().__init__(name="slow_copy")
        self.network = slow
        # As lists: a checkpoint does not look into the lists of layers that Keras models hold.
        self.weights, self.followed = list(slow.variables), list(fast.variables)
        self.updates = tf.Variable(0, trainable=False, dtype=tf.int64, name="updates")
        self._every = every
        self._fraction = fraction
        self._first_fraction = first_fraction
        self._move(1.0)

    def update(self):
        """Counts an update of the network that is followed, and moves if it is time."""
        is_due = self.updates % self._every == 0
        fraction = tf.where(self.updates == 0, self._first_fraction, self._fraction)

        def move():
            self._move(fraction)
            return True

        tf.cond(is_due, move, lambda: False)
        self.updates.assign_add(1)

    def _move(self, fraction):
        for slow, fast in zip(self.weights, self.followed, strict=True):
            slow.assign(fraction * fast.value + (1.0 - fraction) * slow.value)
