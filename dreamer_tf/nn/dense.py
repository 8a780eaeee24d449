"""Dense networks, what follows each of their layers, and the weights that they begin with."""

import re

import keras
import tensorflow as tf

from dreamer_tf.ops import layer_norm, linear, merge_leading, restore_leading, rms_norm_silu


class ConcatDense(keras.layers.Layer):
    """A dense layer over the concatenation of several inputs, with one kernel per input.

    ``[x, y] @ kernel = x @ kernel_0 + y @ kernel_1``: inputs that do not depend on a loop can be
    projected for all time steps at once before it, which leaves a smaller product inside.
    """

    def __init__(self, units, *, initializer="glorot_uniform", **kwargs):
        """Describes the layer.

        Args:
          units: Width of the output.
          initializer: Of the whole kernel, Keras initialiser.
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.units = units
        self.initializer = keras.initializers.get(initializer)
        self.kernels = []

    def build(self, sizes):
        """Creates the kernels.

        Args:
          sizes: Width of each input, in the order of the concatenation.
        """
        whole = self.initializer((sum(sizes), self.units))
        self.kernels = add_parts(self, tf.split(whole, sizes))
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def project(self, index, value):
        """Contribution of input ``index``, without the bias: ``[..., size] -> [..., units]``."""
        value = tf.cast(value, self.compute_dtype)
        return tf.tensordot(value, tf.cast(self.kernels[index], self.compute_dtype), 1)

    def call(self, *inputs, projected=None):
        """Sums the contributions of the inputs.

        Args:
          *inputs: The first inputs of the concatenation, each ``[..., size]``; none if all are
            projected.
          projected: ``[..., units]`` contribution of all the others (`project`), if there are any.
        """
        count = len(inputs)
        values, kernels, [bias] = (
            [tf.cast(value, self.compute_dtype) for value in values]
            for values in (inputs, self.kernels[:count], [self.bias])
        )
        return linear(values, kernels, bias, plus=projected) if values else projected + bias


def add_parts(layer, values):
    """Adds the parts of one kernel as weights ``kernel_0``, ``kernel_1``, ….

    It is initialised as a whole, because the scale of an initialiser depends on the width of all
    inputs together.

    Args:
      layer: Keras layer that the weights belong to.
      values: Initial value of each part.

    Returns:
      List of Keras variables.
    """
    return [
        layer.add_weight(
            shape=value.shape,
            initializer=lambda *_, value=value, **__: value,
            name=f"kernel_{index}",
        )
        for index, value in enumerate(values)
    ]


class MLP(keras.Model):
    """Hidden dense layers ``layer0``, ``layer1``, … and a linear layer ``out``."""

    def __init__(
        self,
        layers,
        units,
        outputs,
        *,
        activation="elu",
        norm="none",
        initializer="glorot_uniform",
        out_initializer="glorot_uniform",
        dtype="float32",
        **kwargs,
    ):
        """Describes the network.

        Args:
          layers: Number of hidden layers.
          units: Width of every hidden layer, or a sequence with the width of each, as recordings of
            DreamerV2's code have it.
          outputs: Width of the output; 0: no output layer, the last hidden layer is the output.
          activation: Of the hidden layers.
          norm: Of the hidden layers, before the activation, see `NormAct`.
          initializer: Of the hidden layers' kernels, Keras initialiser.
          out_initializer: Of the output layer's kernel.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        widths = [units] * layers if isinstance(units, int) else units
        if len(widths) != layers:
            raise ValueError(f"expected a width for each of {layers} layers, got {widths}")
        self.hidden, self.acts = [], []
        for index, width in enumerate(widths):
            name = f"layer{index}"
            self.hidden.append(dense_layer(width, initializer, dtype=dtype, name=name))
            self.acts.append(NormAct(norm, activation, dtype=dtype, name=f"{name}_act"))
        self.out = (
            dense_layer(outputs, out_initializer, dtype=dtype, name="out") if outputs else None
        )
        self.output_size = outputs or (widths[-1] if widths else None)

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        for layer, act in zip(self.hidden, self.acts, strict=True):
            layer.build((None, size))
            size = layer.units
            act.build(size)
        if self.out:
            self.out.build((None, size))
        self.output_size = self.output_size or size

    def call(self, x):
        """``[..., size] -> [..., outputs]``."""
        # TensorFlow joins a product of matrices, the bias and the activation to one operation. It
        # does not where there are more axes.
        y = merge_leading(x, 1)
        for layer, act in zip(self.hidden, self.acts, strict=True):
            y = act(layer(y))
        return restore_leading(self.out(y) if self.out else y, x, 1)


class Linear(keras.Model):
    """One dense layer without activation, as a network."""

    def __init__(
        self,
        outputs,
        *,
        use_bias=True,
        initializer="glorot_uniform",
        dtype="float32",
        **kwargs,
    ):
        """Describes the layer.

        Args:
          outputs: Width of the output.
          use_bias: Whether it has a bias.
          initializer: Of the kernel, Keras initialiser.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.out = dense_layer(outputs, initializer, use_bias=use_bias, dtype=dtype, name="out")

    def build(self, size):
        """Creates the weights for inputs ``[..., size]``."""
        self.out.build((None, size))

    def call(self, x):
        """``[..., size] -> [..., outputs]``."""
        return restore_leading(self.out(merge_leading(x, 1)), x, 1)


class ConcatMLP(keras.Model):
    """An `MLP` over the concatenation of several inputs, its first layer a `ConcatDense`."""

    def __init__(
        self,
        layers,
        units,
        outputs,
        *,
        activation="elu",
        norm="none",
        initializer="glorot_uniform",
        out_initializer="glorot_uniform",
        dtype="float32",
        **kwargs,
    ):
        """Describes the network, see `MLP`; it has at least one hidden layer."""
        super().__init__(dtype=dtype, **kwargs)
        self.first = ConcatDense(units, initializer=initializer, dtype=dtype, name="layer0")
        self.first_act = NormAct(norm, activation, dtype=dtype, name="layer0_act")
        self.rest = MLP(
            layers - 1,
            units,
            outputs,
            activation=activation,
            norm=norm,
            initializer=initializer,
            out_initializer=out_initializer,
            dtype=dtype,
            name="rest",
        )

    def build(self, sizes):
        """Creates the weights from the width of each input."""
        self.first.build(sizes)
        self.first_act.build(self.first.units)
        self.rest.build(self.first.units)

    def project(self, index, value):
        """Contribution of input ``index`` to the first layer, see `ConcatDense.project`."""
        return self.first.project(index, value)

    def call(self, *inputs, projected=None):
        """Inputs as `ConcatDense` takes them, to ``[..., outputs]``."""
        return self.rest(self.first_act(self.first(*inputs, projected=projected)))


def dense_layer(units, initializer, **kwargs):
    """A dense layer with an initialiser of its own.

    A Keras initialiser gives equal numbers to all weights of one shape that it is used for.
    """
    initializer = keras.initializers.get(initializer).clone()
    return _Dense(units, kernel_initializer=initializer, **kwargs)


class _Dense(keras.layers.Dense):
    """Keras' layer, in a loop over time with the weight gradients of `linear`."""

    def call(self, x):
        """``[..., size] -> [..., units]``."""
        if not self.use_bias:
            return super().call(x)
        return linear([x], [tf.convert_to_tensor(self.kernel)], tf.convert_to_tensor(self.bias))


def layer_name(key):
    """A name for the layer of an observation or action, whose key may have any characters.

    Keras and TensorFlow allow few. A slash, as in ``robot/arm``, becomes a dot; other characters
    their code points, so that different keys stay different.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", lambda c: f".u{ord(c[0]):x}.", key.replace("/", "."))
    return name if name[:1].isalnum() else f".{name}"


def rms_silu_layers(out_scale=1.0):
    """Arguments of `MLP` and `ConcatMLP` for layers as DreamerV3 has them everywhere.

    Args:
      out_scale: Scale of the output layer's initial kernel, see `fan_in_normal`.

    Returns:
      Dict of ``norm``, ``activation``, ``initializer`` and ``out_initializer``.
    """
    return {
        "norm": "rms_silu",
        "activation": "linear",
        "initializer": fan_in_normal(),
        "out_initializer": fan_in_normal(out_scale),
    }


# ---- Behind a linear layer: normalisation, then an activation.


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


# ---- Weights before training.


def fan_in_normal(scale=1.0):
    """Normal draws of variance ``scale² / fan_in``, none beyond two standard deviations.

    The fan-in is the product of all axes but the last: for a kernel in blocks the width of the
    whole input, not of one block. (The normal that is cut has a standard deviation of 1.1368
    times that, which makes up for what the cut removes.)

    Args:
      scale: Standard deviation times √fan-in; 0: zeros.

    Returns:
      Keras initialiser.
    """
    if scale == 0:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(scale**2, "fan_in", "truncated_normal")
