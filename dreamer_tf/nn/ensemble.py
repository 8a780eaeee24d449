"""Several networks of one structure on the same inputs."""

import keras
import tensorflow as tf

from dreamer_tf.ops import layer_norm

_EPSILON = 1e-3  # As `dreamer_tf.nn.dense.LayerNorm`.


class Ensemble(keras.Model):
    """Independent dense networks, computed side by side.

    The kernels of one layer are one variable ``[M, in, out]``, and the layer of all networks is one
    batched product. Each network begins with weights of its own.
    """

    def __init__(
        self,
        models,
        layers,
        units,
        outputs,
        *,
        activation="elu",
        norm="none",
        dtype="float32",
        **kw,
    ):
        """Describes the networks.

        Args:
          models: Number of networks (M).
          layers: Hidden layers of each.
          units: Width of each hidden layer.
          outputs: Width of the output.
          activation: Of the hidden layers.
          norm: Of the hidden layers, before the activation: ``none`` or ``layer``.
          dtype: Keras dtype policy.
          **kw: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kw)
        self.models = models
        self.widths = [units] * layers + [outputs]
        self.activation = keras.activations.get(activation)
        self.norm = norm
        self.kernels, self.biases, self.scales, self.offsets = [], [], [], []

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
            if self.norm == "layer" and index < len(self.widths) - 1:
                weights = {"shape": (self.models, 1, width), "autocast": False}
                self.scales.append(
                    self.add_weight(initializer="ones", name=f"layer{index}_scale", **weights)
                )
                self.offsets.append(
                    self.add_weight(initializer="zeros", name=f"layer{index}_offset", **weights)
                )
            size = width

    def call(self, x):
        """Inputs ``[..., size]`` to the outputs of each network, ``[M, ..., outputs]``, float32."""
        leading = x.shape[:-1]
        x = tf.cast(tf.reshape(x, [1, -1, x.shape[-1]]), self.compute_dtype)
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            kernel, bias = (tf.cast(weight, self.compute_dtype) for weight in (kernel, bias))
            x = tf.linalg.matmul(x, kernel) + bias
            if index < len(self.kernels) - 1:
                x = self.activation(self._normed(index, x))
        return tf.cast(tf.reshape(x, [self.models, *leading, self.widths[-1]]), tf.float32)

    def _normed(self, index, x):
        if self.norm == "none":
            return x
        width = self.widths[index]
        normed = layer_norm(tf.cast(x, tf.float32), tf.ones([width]), tf.zeros([width]), _EPSILON)
        return tf.cast(normed * self.scales[index] + self.offsets[index], self.compute_dtype)
