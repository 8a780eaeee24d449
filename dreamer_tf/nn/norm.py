"""What follows a linear layer: normalisation, then an activation."""

import keras
import tensorflow as tf

from dreamer_tf.ops import layer_norm, rms_norm_silu


class NoNorm(keras.layers.Layer):
    """Leaves its input as it is."""

    def build(self, size):
        """There are no weights."""

    def call(self, x):
        """``[..., size] -> [..., size]``."""
        return x


class LayerNorm(keras.layers.Layer):
    """Layer normalisation over the last axis, computed in float32, see `ops.layer_norm`."""

    def __init__(self, epsilon=1e-3, **kwargs):
        """Describes the layer.

        Args:
          epsilon: Added to the variance.
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        weights = {"shape": (size,), "autocast": False}
        self.scale = self.add_weight(initializer="ones", name="scale", **weights)
        self.offset = self.add_weight(initializer="zeros", name="offset", **weights)

    def call(self, x):
        """``[..., size] -> [..., size]``."""
        scale, offset = tf.convert_to_tensor(self.scale), tf.convert_to_tensor(self.offset)
        y = layer_norm(tf.cast(x, tf.float32), scale, offset, self.epsilon)
        return tf.cast(y, self.compute_dtype)


class RMSNormSiLU(keras.layers.Layer):
    """RMS normalisation over the last axis and SiLU, in float32, see `ops.rms_norm_silu`."""

    def __init__(self, epsilon=1e-4, **kwargs):
        """Describes the layer.

        Args:
          epsilon: Added to the mean square.
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        self.scale = self.add_weight(
            shape=(size,), initializer="ones", autocast=False, name="scale"
        )

    def call(self, x):
        """``[..., size] -> [..., size]``."""
        scale = tf.convert_to_tensor(self.scale)
        y = rms_norm_silu(tf.cast(x, tf.float32), scale, self.epsilon)
        return tf.cast(y, self.compute_dtype)


NORMS = {"none": NoNorm, "layer": LayerNorm, "rms_silu": RMSNormSiLU}


class NormAct(keras.layers.Layer):
    """Normalisation, then an activation: what follows the linear layer of a hidden block."""

    def __init__(self, norm, activation, **kwargs):
        """Describes the layer.

        Args:
          norm: ``none``, ``layer``, or ``rms_silu``, which has its activation inside.
          activation: Name of a Keras activation; ``linear`` for none.
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.norm = NORMS[norm](dtype=self.dtype_policy, name="norm")
        self.activation = keras.activations.get(activation)

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        self.norm.build(size)

    def call(self, x):
        """``[..., size] -> [..., size]``."""
        return self.activation(self.norm(x))
