"""Actions of the environment, and the one float vector that stands for them inside an agent."""

import dataclasses

import numpy as np
import tensorflow as tf

from dreamer_tf.ops import open_shape


@dataclasses.dataclass(frozen=True)
class ActionPart:
    """Neighbouring elements of the vector that are chosen together.

    Attributes:
      key: Action key that they belong to.
      start: Index of the first.
      size: How many: the elements of a continuous action, or the classes of one category.
      is_discrete: Whether they are a one-hot vector.
    """

    key: str
    start: int
    size: int
    is_discrete: bool


class ActionEncoder:
    """Converts between actions of the environment and vectors ``[..., A]``.

    The keys follow each other in alphabetical order. A continuous action gives its elements as they
    are, a category its one-hot vector, and an action of several categories their one-hot vectors
    one after another::

        spaces   arm: float32 [2]     buttons: int32 [2] of 3 and 2 classes
        action   arm: [0.5, -1]       buttons: [2, 0]
        vector   0.5 -1 | 0 0 1 | 1 0                                        A = 7

    Attributes:
      size: Length of the vector (A).
      parts: Tuple of `ActionPart` in the order of the vector; a category each is a part.
    """

    def __init__(self, act_space):
        """Plans the vector.

        Args:
          act_space: Dict of action key to `Space`, float32 or int32.

        Raises:
          ValueError: If there is no action, or one of another dtype.
        """
        if not act_space:
            raise ValueError("expected at least one action, got none")
        parts = []
        for key, space in sorted(act_space.items()):
            if space.dtype not in (np.float32, np.int32):
                raise ValueError(f"expected float32 or int32 actions, got {key!r}: {space}")
            is_discrete = space.is_discrete
            sizes = space.classes.flat if is_discrete else [int(np.prod(space.shape))]
            for size in sizes:
                start = parts[-1].start + parts[-1].size if parts else 0
                parts.append(ActionPart(key, start, int(size), is_discrete))
        self.parts = tuple(parts)
        self.size = parts[-1].start + parts[-1].size
        self._shapes = {key: act_space[key].shape for key in sorted(act_space)}

    def only_part(self, agent):
        """The one `ActionPart`, for agents that choose one vector of numbers or one category.

        Args:
          agent: Name for the message.

        Raises:
          ValueError: If there are several.
        """
        if len(self.parts) != 1:
            described = ", ".join(f"{part.key} ({part.size})" for part in self.parts)
            raise ValueError(
                f"{agent} chooses one action, a vector of numbers or one category; got {described}"
            )
        return self.parts[0]

    def encode(self, actions):
        """Actions to vectors.

        Args:
          actions: Dict with an array ``[..., *shape]`` for each action key; other keys, such as
            those of a whole batch, are left out.

        Returns:
          ``[..., A]``, float32.
        """
        return tf.concat([self._encode_key(key, actions[key]) for key in self._shapes], -1)

    def _encode_key(self, key, action):
        action = _merge_last(tf.convert_to_tensor(action), len(self._shapes[key]))
        parts = [part for part in self.parts if part.key == key]
        if not parts[0].is_discrete:
            return tf.cast(action, tf.float32)
        one_hots = [tf.one_hot(action[..., i], part.size) for i, part in enumerate(parts)]
        return tf.concat(one_hots, -1)

    def decode(self, vector):
        """Vectors to actions.

        Args:
          vector: ``[..., A]``; of a one-hot part the largest element counts.

        Returns:
          Dict of key to ``[..., *shape]``, int32 classes or float32.
        """
        pieces = {key: [] for key in self._shapes}
        for part, piece in zip(self.parts, self.split(vector), strict=True):
            if part.is_discrete:
                piece = tf.argmax(piece, -1, output_type=tf.int32)[..., None]
            pieces[part.key].append(piece)
        actions = {key: tf.concat(found, -1) for key, found in pieces.items()}
        leading = open_shape(vector.shape[:-1])
        return {key: tf.reshape(x, [*leading, *self._shapes[key]]) for key, x in actions.items()}

    def split(self, vector):
        """The parts of vectors ``[..., A]``, a list of ``[..., size]`` in the order of `parts`."""
        return tf.split(vector, [part.size for part in self.parts], -1)


def _merge_last(x, count):
    """Makes one axis of the last ``count`` axes; a new one of size 1 if that is zero."""
    kept = x.shape.rank - count
    return tf.reshape(x, [*open_shape(x.shape[:kept]), int(np.prod(x.shape[kept:]))])
