"""Recurrent cells: (deter, stoch, action) -> next deter.

A cell has two methods, so that a loop over time can do the second one only:
``project_action(action)`` and ``call(deter, stoch, projected_action)``.
"""

import keras
import tensorflow as tf

from dreamer_tf.nn.dense import ConcatDense, LayerNorm, NormAct
from dreamer_tf.ops import gru_gates, linear


class DenseGRU(keras.layers.Layer):
    """A dense layer on [stoch, action], then a GRU: the cell of PlaNet and Dreamer.

    Reference: arXiv:1811.04551, section 3 and appendix A.
    """

    def __init__(self, deter, hidden, *, activation="elu", dtype="float32", **kwargs):
        """Describes the cell.

        Args:
          deter: Width of the GRU.
          hidden: Width of the dense layer.
          activation: Of the dense layer.
          dtype: Keras dtype policy.
          **kwargs: Keras layer arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.deter = deter
        self.img_in = ConcatDense(hidden, dtype=dtype, name="img_in")
        self.gru = _GRUCell(deter, dtype=dtype, name="gru")
        self.activation = keras.activations.get(activation)

    def build(self, stoch_size, action_size):
        """Creates the weights from the widths of the inputs."""
        self.img_in.build([stoch_size, action_size])
        self.gru.build((None, self.img_in.units))

    def project_action(self, action):
        """What the action contributes: ``[..., A] -> [..., hidden]``."""
        return self.img_in.project(1, action)

    def call(self, deter, stoch, projected_action):
        """One step.

        Args:
          deter: ``[N, D]``.
          stoch: ``[N, S]``, samples of the previous step.
          projected_action: ``[N, hidden]`` from `project_action`.

        Returns:
          ``[N, D]`` next deterministic state, float32.
        """
        x = self.activation(self.img_in(stoch, projected=projected_action))
        return tf.cast(self.gru(x, tf.cast(deter, x.dtype)), tf.float32)


class _GRUCell(keras.layers.GRUCell):
    """Keras' cell, computed by `gru_gates` and in a loop over time with `linear`."""

    def call(self, x, state):
        """``[N, hidden]`` and ``[N, D]`` to the next state ``[N, D]``."""
        kernel, recurrent_kernel, bias = map(
            tf.convert_to_tensor, (self.kernel, self.recurrent_kernel, self.bias)
        )
        bias, recurrent_bias = tf.unstack(bias)
        projected = linear([x], [kernel], bias)
        return gru_gates(projected, linear([state], [recurrent_kernel], recurrent_bias), state)


class LayerNormGRU(keras.layers.Layer):
    """A dense layer on [stoch, action], then a GRU with layer normalisation: DreamerV2's cell.

    ::

        r, c, u = split(LN(W [x, h] + b))        one norm over all three gates
        h' = σ(u - 1) · tanh(σ(r) · c) + (1 - σ(u - 1)) · h

    The shift of the update gate keeps most of the state at first. The linear layer has a bias in
    front of the norm, as in the author's code.

    Reference: arXiv:2010.02193, section 2 and appendix D.
    """

    def __init__(self, deter, hidden, *, activation="elu", norm="none", dtype="float32", **kwargs):
        """Describes the cell.

        Args:
          deter: Width of the GRU.
          hidden: Width of the dense layer.
          activation: Of the dense layer.
          norm: Of the dense layer, see `NormAct`; the gates always have layer norm.
          dtype: Keras dtype policy.
          **kwargs: Keras layer arguments.
        """
        # The state keeps its precision: each product casts its inputs itself.
        super().__init__(dtype=dtype, autocast=False, **kwargs)
        self.deter = deter
        self.img_in = ConcatDense(hidden, dtype=dtype, name="img_in")
        self.img_act = NormAct(norm, activation, dtype=dtype, name="img_act")
        self.gates = ConcatDense(3 * deter, dtype=dtype, name="gates")
        self.gates_norm = LayerNorm(dtype=dtype, name="gates_norm")

    def build(self, stoch_size, action_size):
        """Creates the weights from the widths of the inputs."""
        self.img_in.build([stoch_size, action_size])
        self.img_act.build(self.img_in.units)
        self.gates.build([self.img_in.units, self.deter])
        self.gates_norm.build(self.gates.units)

    def project_action(self, action):
        """What the action contributes: ``[..., A] -> [..., hidden]``."""
        return self.img_in.project(1, action)

    def call(self, deter, stoch, projected_action):
        """One step.

        Args:
          deter: ``[N, D]``.
          stoch: ``[N, S]``, samples of the previous step.
          projected_action: ``[N, hidden]`` from `project_action`.

        Returns:
          ``[N, D]`` next deterministic state, float32.
        """
        x = self.img_act(self.img_in(stoch, projected=projected_action))
        return self.recur(x, deter)

    def recur(self, x, deter):
        """The GRU alone: input ``[N, hidden]`` and state ``[N, D]`` to the next state."""
        gates = tf.cast(self.gates_norm(self.gates(x, deter)), tf.float32)
        reset, candidate, update = tf.split(gates, 3, axis=-1)
        candidate = tf.tanh(tf.sigmoid(reset) * candidate)
        return deter + tf.sigmoid(update - 1.0) * (candidate - deter)


class FeedForwardCell(keras.layers.Layer):
    """A dense layer on [stoch, action] without memory: the cell of a purely stochastic model.

    Reference: arXiv:1811.04551, figure 2b.
    """

    def __init__(self, deter, *, activation="elu", dtype="float32", **kwargs):
        """Describes the cell.

        Args:
          deter: Width of the layer.
          activation: Of the layer.
          dtype: Keras dtype policy.
          **kwargs: Keras layer arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.deter = deter
        self.img_in = ConcatDense(deter, dtype=dtype, name="img_in")
        self.activation = keras.activations.get(activation)

    def build(self, stoch_size, action_size):
        """Creates the weights from the widths of the inputs."""
        self.img_in.build([stoch_size, action_size])

    def project_action(self, action):
        """What the action contributes: ``[..., A] -> [..., D]``."""
        return self.img_in.project(1, action)

    def call(self, deter, stoch, projected_action):
        """One step, or several at once.

        Args:
          deter: Not used.
          stoch: ``[..., S]``, samples of the previous step.
          projected_action: ``[..., D]`` from `project_action`.

        Returns:
          ``[..., D]``, float32.
        """
        del deter
        x = self.activation(self.img_in(stoch, projected=projected_action))
        return tf.cast(x, tf.float32)
