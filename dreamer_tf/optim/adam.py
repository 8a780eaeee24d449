"""Adam as PlaNet and the first two Dreamers use it, as a Keras optimiser."""

import keras
import tensorflow as tf

from dreamer_tf.optim.gradient_step import LocalOptimizer


@keras.saving.register_keras_serializable(package="dreamer_tf")
class DecayedAdam(LocalOptimizer):
    """Adam, before whose step every weight may shrink by a fixed share, as DreamerV2's do.

    ::

        w ← (1 - decay) w
        m_t = β₁ m_{t-1} + (1 - β₁) g_t        v_t = β₂ v_{t-1} + (1 - β₂) g_t²
        w ← w - lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m_t / (√v_t + ε)

    The share does not depend on the learning rate, and biases and the scales of norms shrink as
    kernels do, as in the author's code. (Keras' own ``weight_decay`` multiplies the learning rate.)

    Reference: arXiv:1412.6980; decoupled decay: arXiv:1711.05101; DreamerV2's: arXiv:2010.02193.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-5,
        decay=0.0,
        name="decayed_adam",
        **kwargs,
    ):
        """Describes the optimiser.

        Args:
          learning_rate: Number or Keras schedule.
          beta_1: Decay of the average of the gradients.
          beta_2: Decay of the mean square of the gradients.
          epsilon: Added to the root mean square, outside the bias correction.
          decay: Share by which weights shrink in an update, 0 to 1.
          name: Name of the optimiser.
          **kwargs: Keras optimiser arguments.
        """
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.decay = decay

    def build(self, variables):
        """Creates the slots ``momentum`` (m) and ``velocity`` (v) of each variable."""
        if self.built:
            return
        super().build(variables)
        self._momenta, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def apply(self, grads, trainable_variables=None):
        """Moves all variables; what does not depend on a variable is computed once for all."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        self._beta1_power, self._beta2_power = self.beta_1**step, self.beta_2**step
        self._rate = tf.cast(self.learning_rate, tf.float32)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Moves one variable, by TensorFlow's fused operation: one pass over weights and slots.

        Keras' own Adam takes some twenty operations for it, most of them for numbers that are the
        same for all variables.
        """
        del learning_rate
        index = self._get_variable_index(variable)
        if self.decay:
            variable.assign_sub(self.decay * variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momenta[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self._beta1_power,
            beta2_power=self._beta2_power,
            lr=self._rate,
            beta1=tf.constant(self.beta_1),
            beta2=tf.constant(self.beta_2),
            epsilon=tf.constant(self.epsilon),
            grad=gradient,
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "decay": self.decay,
        }
