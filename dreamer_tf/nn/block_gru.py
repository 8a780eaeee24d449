"""The recurrent cell of DreamerV3: layers in blocks, so that a wide state stays affordable."""

import keras
import tensorflow as tf

from dreamer_tf.nn.dense import RMSNormSiLU, add_parts, dense_layer, fan_in_normal
from dreamer_tf.ops import linear, rms_norm_silu


class BlockDense(keras.layers.Layer):
    """A dense layer in equal blocks: each block of the output sees one block of the input.

    All blocks may see one more input, which they share::

        y_g = x_g @ kernel_0[g] + shared @ kernel_1[g] + bias_g

    Tensors are in blocks too, block first: ``[G, N, width / G]``, see `to_blocks`. Consecutive
    layers then need no rearranging between them, and each is one batched product.

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(self, units, blocks, **kwargs):
        """Describes the layer.

        Args:
          units: Width of the output, a multiple of ``blocks``.
          blocks: Number of blocks (G).
          **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.units = units
        self.blocks = blocks

    def build(self, size, shared_size=0):
        """Creates the weights.

        Args:
          size: Width of the input in blocks.
          shared_size: Width of the input that all blocks share; 0: there is none.

        Raises:
          ValueError: If the widths do not fall into equal blocks.
        """
        blocks = self.blocks
        if size % blocks or self.units % blocks:
            raise ValueError(
                f"a layer in {blocks} blocks: widths must be multiples of that, "
                f"got {size} to {self.units}"
            )
        sizes = [size // blocks, shared_size] if shared_size else [size // blocks]
        whole = fan_in_normal()((blocks, sum(sizes), self.units // blocks))
        self.kernels = add_parts(self, tf.split(whole, sizes, axis=1))
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x, shared=None):
        """The layer on inputs in blocks.

        Args:
          x: ``[G, N, size / G]``.
          shared: ``[N, shared_size]``, or None.

        Returns:
          ``[G, N, units / G]``.
        """
        # (Not with [None]: the gradient of a slice is a copy of all of it.)
        inputs = [x] if shared is None else [x, tf.expand_dims(shared, 0)]
        inputs, kernels, [bias] = (
            [tf.cast(value, self.compute_dtype) for value in values]
            for values in (inputs, self.kernels, [self.bias])
        )
        return linear(inputs, kernels, tf.reshape(bias, [self.blocks, 1, -1]))


def to_blocks(x, blocks):
    """``[N, size]`` to ``[G, N, size / G]``."""
    return tf.transpose(tf.reshape(x, [-1, blocks, x.shape[-1] // blocks]), [1, 0, 2])


def from_blocks(x):
    """``[G, N, size / G]`` to ``[N, size]``."""
    blocks, _, size = x.shape
    return tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, blocks * size])


class BlockGRU(keras.layers.Layer):
    """A gated recurrent unit whose layers of full width are in blocks.

    ::

        deter  ─► in_deter  ─┐
        stoch  ─► in_stoch  ─┼─► shared ─┐
        action ─► in_action ─┘           ├─► hidden ─► gates ─► next deter
        deter, in blocks  ───────────────┘

    Each arrow into a name is a linear layer; all but the gates end in `RMSNormSiLU`. Of each block,
    the gates are reset, candidate and update side by side::

        next = u · tanh(σ(reset) · candidate) + (1 - u) · deter,   u = σ(update - 1)

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(self, deter, hidden, blocks, *, layers=1, dtype="float32", **kwargs):
        """Describes the cell.

        Args:
          deter: Width of the state (D), a multiple of ``blocks``.
          hidden: Width of the layer of each input.
          blocks: Number of blocks (G).
          layers: Hidden layers of full width, at least one.
          dtype: Keras dtype policy.
          **kwargs: Keras layer arguments.
        """
        # The state itself stays float32: small updates would be lost in it.
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.deter = deter
        self.blocks = blocks
        inputs = ["in_deter", "in_stoch", "in_action"]
        self.in_deter, self.in_stoch, self.in_action = (
            dense_layer(hidden, fan_in_normal(), dtype=dtype, name=name) for name in inputs
        )
        self.in_deter_norm, self.in_stoch_norm, self.in_action_norm = (
            RMSNormSiLU(dtype=dtype, name=f"{name}_norm") for name in inputs
        )
        names = [f"hidden{index}" for index in range(layers)]
        self.hidden = [BlockDense(deter, blocks, dtype=dtype, name=name) for name in names]
        self.hidden_norms = [RMSNormSiLU(dtype=dtype, name=f"{name}_norm") for name in names]
        self.gates = BlockDense(3 * deter, blocks, dtype=dtype, name="gates")

    def build(self, stoch_size, action_size):
        """Creates the weights from the widths of the inputs."""
        hidden = self.in_deter.units
        self.in_deter.build((None, self.deter))
        self.in_stoch.build((None, stoch_size))
        self.in_action.build((None, action_size))
        for norm in (self.in_deter_norm, self.in_stoch_norm, self.in_action_norm):
            norm.build(hidden)
        for index, (layer, norm) in enumerate(zip(self.hidden, self.hidden_norms, strict=True)):
            layer.build(self.deter, 0 if index else 3 * hidden)
            norm.build(self.deter)
        self.gates.build(self.deter)

    def project_action(self, action):
        """The layer of the actions: ``[..., A] -> [..., hidden]``.

        Actions beyond [-1, 1], as an unbounded policy draws them, count as those limits.
        """
        action /= tf.stop_gradient(tf.maximum(1.0, tf.abs(action)))
        return self.in_action_norm(self.in_action(action))

    def call(self, deter, stoch, projected_action):
        """One step.

        Args:
          deter: ``[N, D]``.
          stoch: ``[N, S]``, samples of the previous step.
          projected_action: ``[N, hidden]`` from `project_action`.

        Returns:
          ``[N, D]`` next deterministic state, float32.
        """
        shared = self._inputs(deter, stoch, projected_action)
        deter = to_blocks(deter, self.blocks)
        x = self.hidden[0](deter, shared)
        x = self._normalize(self.hidden_norms[0], x)
        for layer, norm in zip(self.hidden[1:], self.hidden_norms[1:], strict=True):
            x = self._normalize(norm, layer(x))
        reset, candidate, update = tf.split(tf.cast(self.gates(x), tf.float32), 3, axis=-1)
        candidate = tf.tanh(tf.sigmoid(reset) * candidate)
        update = tf.sigmoid(update - 1.0)
        return from_blocks(deter + update * (candidate - deter))

    def _inputs(self, deter, stoch, projected_action):
        # The two layers are normalised together: half as many operations in the loop over time.
        pair = tf.stack([self.in_deter(deter), self.in_stoch(stoch)], axis=-2)
        norms = (self.in_deter_norm, self.in_stoch_norm)
        scale = tf.stack([tf.convert_to_tensor(norm.scale) for norm in norms])
        pair = rms_norm_silu(tf.cast(pair, tf.float32), scale, self.in_deter_norm.epsilon)
        pair = tf.reshape(pair, [-1, 2 * self.in_deter.units])
        return tf.concat([pair, tf.cast(projected_action, tf.float32)], axis=-1)

    def _normalize(self, norm, x):
        """`RMSNormSiLU` over the whole width of ``[G, N, D / G]``."""
        scale = tf.reshape(tf.convert_to_tensor(norm.scale), [self.blocks, 1, -1])
        return rms_norm_silu(tf.cast(x, tf.float32), scale, norm.epsilon, (0, 2))
