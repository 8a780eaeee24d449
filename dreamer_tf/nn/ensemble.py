"""Several networks of one structure on the same inputs."""

import keras
import tensorflow as tf


class Ensemble(keras.Model):
    """Independent dense networks, computed side by side.

    The kernels of one layer are one variable ``[M, in, out]``, and the layer of all networks is one
    batched product. Each network begins with weights of its own.
    """

    def __init__(self, models, layers, units, outputs, *, activation="elu", dtype="float32", **kw):
        """Describes the networks.

        Args:
          models: Number of networks (M).
          layers: Hidden layers of each.
          units: Width of each hidden layer.
          outputs: Width of the output.
          activation: Of the hidden layers.
          dtype: Keras dtype policy.
          **kw: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kw)
        self.models = models
        self.widths = [units] * layers + [outputs]
        self.activation = keras.activations.get(activation)
        self.kernels, self.biases = [], []

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        for index, width in enumerate(self.widths):
            # Glorot's limit for one network; Keras would count the networks as inputs.
            limit = (6.0 / (size + width)) ** 0.5
            kernel = self.add_weight(
                shape=(self.models, size, width),
                initializer=keras.initializers.RandomUniform(-limit, limit),
                name=f"layer{index}_kernel",
            )
            bias = self.add_weight(
                shape=(self.models, 1, width), initializer="zeros", name=f"layer{index}_bias"
            )
            self.kernels.append(kernel)
            self.biases.append(bias)
            size = width

    def call(self, x):
        """Inputs ``[..., size]`` to the outputs of each network, ``[M, ..., outputs]``, float32."""
        leading = x.shape[:-1]
        x = tf.cast(tf.reshape(x, [1, -1, x.shape[-1]]), self.compute_dtype)
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            kernel, bias = (tf.cast(weight, self.compute_dtype) for weight in (kernel, bias))
            x = tf.linalg.matmul(x, kernel) + bias
            if index < len(self.kernels) - 1:
                x = self.activation(x)
        return tf.cast(tf.reshape(x, [self.models, *leading, self.widths[-1]]), tf.float32)
