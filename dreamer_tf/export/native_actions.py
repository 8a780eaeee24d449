"""Actions as the environment itself takes them, inside a graph."""

import tensorflow as tf

from dreamer_tf.export.errors import ExportError
from dreamer_tf.ops import open_shape


class NativeActions:
    """Converts between an agent's actions and those of the environment.

    Numbers from -1 to 1 are stretched to the environment's bounds, and rounded if it counts in
    whole steps; categories from zero are counted from the environment's first one.
    """

    def __init__(self, act_space, native_space):
        """Plans the conversion.

        Args:
          act_space: Dict of action key to the agent's `Space`.
          native_space: Dict of the same keys to the environment's: float32, or int32 for
            categories and whole steps, with as many elements and finite bounds.

        Raises:
          ExportError: If the two do not fit each other.
        """
        if act_space.keys() != native_space.keys():
            raise ExportError(
                f"expected ranges of the actions {sorted(act_space)}, got {sorted(native_space)}"
            )
        for key, space in act_space.items():
            native = native_space[key]
            if native.low.size != space.low.size:
                raise ExportError(
                    f"the action {key!r} has {space.low.size} elements, but its range is {native}"
                )
        self.act_space, self.native_space = dict(act_space), dict(native_space)

    def to_native(self, actions):
        """Dict of the agent's actions ``[..., *shape]`` to the environment's."""
        return {key: self._to_native(key, actions[key]) for key in self.act_space}

    def from_native(self, actions):
        """Dict of the environment's actions ``[..., *shape]`` to the agent's."""
        return {key: self._from_native(key, actions[key]) for key in self.act_space}

    def _to_native(self, key, action):
        space, native = self.act_space[key], self.native_space[key]
        action = _reshape(action, space, native)
        if space.is_discrete:
            return action + native.low
        low, high = (tf.constant(bound, tf.float32) for bound in (native.low, native.high))
        value = low + (action + 1.0) / 2.0 * (high - low)
        value = tf.round(value) if native.is_discrete else value
        # Rounding must not carry an action over its bound.
        return tf.cast(tf.clip_by_value(value, low, high), native.dtype)

    def _from_native(self, key, action):
        space, native = self.act_space[key], self.native_space[key]
        action = tf.convert_to_tensor(action)
        if space.is_discrete:
            return _reshape(action - native.low, native, space)
        low, high = (tf.constant(bound, tf.float32) for bound in (native.low, native.high))
        share = tf.math.divide_no_nan(tf.cast(action, tf.float32) - low, high - low)
        return _reshape(2.0 * share - 1.0, native, space)


def _reshape(x, old, new):
    leading = x.shape[: x.shape.rank - len(old.shape)]
    return tf.reshape(x, [*open_shape(leading), *new.shape])
