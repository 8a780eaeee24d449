"""Learning rates that change over the updates; more of them come with Keras."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="dreamer_tf")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from zero, then follows another schedule from its beginning.

    ``lr(k) = lr · k / steps`` for the first ``steps`` updates, k = 0, 1, …: the very first update
    moves nothing and only fills the optimiser's averages, as in DreamerV3.

    Schedules that end at a share of the learning rate (Keras' ``CosineDecay``) take that share as
    a factor here. DreamerV3's own code hands over a learning rate where a factor is expected, so
    that it ends at 0.1 lr² instead of 0.1 lr; that is not the default of anything here.
    """

    def __init__(self, learning_rate, steps):
        """Describes the schedule.

        Args:
          learning_rate: Number, or the Keras schedule to follow after the rise.
          steps: Updates that the rise takes; 0: none.
        """
        self.learning_rate = learning_rate
        self.steps = steps

    def __call__(self, step):
        """Learning rate of update ``step``, counted from zero."""
        step = tf.cast(step, tf.float32)
        rising = self._follow(0.0) * step / max(self.steps, 1)
        return tf.where(step < self.steps, rising, self._follow(step - self.steps))

    def _follow(self, step):
        rate = self.learning_rate
        return rate(tf.maximum(step, 0.0)) if callable(rate) else tf.constant(rate, tf.float32)

    def get_config(self):
        """The constructor's arguments."""
        rate = keras.saving.serialize_keras_object(self.learning_rate)
        return {"learning_rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config):
        """Builds the schedule from `get_config`."""
        rate = keras.saving.deserialize_keras_object(config["learning_rate"])
        return cls(rate, config["steps"])
