"""LaProp, the optimiser of DreamerV3, as a Keras optimiser, and the rise of its learning rate."""

import keras
import tensorflow as tf

from dreamer_tf.optim.gradient_step import LocalOptimizer

_SCALE = 2.0**20


@keras.saving.register_keras_serializable(package="dreamer_tf")
class LaProp(LocalOptimizer):
    """Divides gradients by their running root mean square first and averages afterwards.

    ::

        n_t = β₂ n_{t-1} + (1 - β₂) g_t²       u_t = g_t / (√(n_t / (1 - β₂ᵗ)) + ε)
        m_t = β₁ m_{t-1} + (1 - β₁) u_t        w_t = w_{t-1} - lr_t m_t / (1 - β₁ᵗ)

    Adam averages the gradients and divides the average. Here each gradient is divided by the scale
    of its own time, so that momentum stays bounded where that scale changes quickly. With
    ``nesterov``, ``β₁ m_t + (1 - β₁) u_t`` takes the place of ``m_t`` in the last equation.

    The gradients enter multiplied by 2²⁰, and ε with them, which leaves the equations as they are.
    Without it the squares of gradients below 3e-18 vanish in float32 while ε (1e-20) does not yet
    bound their quotient: single weights would move by up to 300 learning rates instead of one.

    Reference: LaProp, arXiv:2002.04839; DreamerV3, arXiv:2301.04104.
    """

    def __init__(
        self,
        learning_rate=4e-5,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-20,
        nesterov=False,
        name="laprop",
        **kwargs,
    ):
        """Describes the optimiser.

        Args:
          learning_rate: Number, or Keras schedule such as `Warmup`.
          beta_1: Decay of the average of the updates; 0: none.
          beta_2: Decay of the mean square of the gradients.
          epsilon: Added to the root mean square.
          nesterov: Whether the newest update counts as if the next one were equal to it.
          name: Name of the optimiser.
          **kwargs: Keras optimiser arguments. ``weight_decay`` is decoupled and is multiplied by
            the learning rate.
        """
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.nesterov = nesterov

    def build(self, variables):
        """Creates the slots ``mean_square`` and ``momentum`` of each variable."""
        if self.built:
            return
        super().build(variables)
        self._mean_squares, self._momenta = self.add_optimizer_variables(
            variables, ["mean_square", "momentum"]
        )

    def apply(self, grads, trainable_variables=None):
        """Moves all variables; what does not depend on a variable is computed once for all."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        self._rate = (1.0 - self.beta_2) / (1.0 - self.beta_2**step)
        self._lr = self.learning_rate * (1.0 - self.beta_1) / (1.0 - self.beta_1**step)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable.

        Both averages are kept in forms that cost fewer passes over the weights. ``mean_square`` is
        n_t / (1 - β₂ᵗ), an average whose rate starts at 1 and falls to 1 - β₂. ``momentum`` is
        m_t / (1 - β₁), which is what TensorFlow's fused momentum operation sums up.
        """
        del learning_rate
        index = self._get_variable_index(variable)
        mean_square, momentum = self._mean_squares[index], self._momenta[index]
        gradient, before = gradient * _SCALE, tf.convert_to_tensor(mean_square.value)
        square = before + self._rate * (tf.square(gradient) - before)
        self.assign(mean_square, square)
        tf.raw_ops.ResourceApplyMomentum(
            var=variable.handle,
            accum=momentum.value.handle,
            lr=self._lr,
            grad=gradient / (tf.sqrt(square) + self.epsilon * _SCALE),
            momentum=tf.constant(self.beta_1),
            use_nesterov=self.nesterov,
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "nesterov": self.nesterov,
        }


def learning_rate(config):
    """The schedule of a `LaPropConfig`: the rise, and what follows it.

    Along a cosine it ends at 0.1 lr², as in the code of DreamerV3, which hands a learning rate over
    where a factor is expected.

    Raises:
      ValueError: If it should fall by an update that is not after the rise.
    """
    rate, steps = config.learning_rate, config.anneal - config.warmup
    if config.schedule != "const" and steps <= 0:
        raise ValueError(
            f"the learning rate should fall until grad_step anneal, {config.anneal}, which must be "
            f"after the warmup of {config.warmup}"
        )
    schedules = keras.optimizers.schedules
    after = {
        "const": lambda: rate,
        "linear": lambda: schedules.PolynomialDecay(rate, steps, 0.1 * rate),
        "cosine": lambda: schedules.CosineDecay(rate, steps, alpha=0.1 * rate),
    }[config.schedule]()
    return Warmup(after, config.warmup)


@keras.saving.register_keras_serializable(package="dreamer_tf")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from zero, then follows another schedule from its beginning.

    ``lr(k) = lr · k / steps`` for the first ``steps`` updates, k = 0, 1, …: the very first update
    moves nothing and only fills the optimiser's averages, as in DreamerV3.
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
