"""Actions as one vector, and a policy over every kind of them at once.

`ActionEncoder` makes of the actions of an environment, boxes, categories, several of them, the one
float vector that stands for them inside an agent. `JointActor` is the network that chooses such
vectors.
"""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.distributions import BoundedNormal, OneHot
from dreamer_tf.nn import MLP, dense_layer, fan_in_normal, layer_name, rms_silu_layers
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


# ---- The policy.


class JointActor(keras.Model):
    """One network for all actions, with output layers of its own for each action key.

    Continuous actions are `BoundedNormal`, categories `OneHot`.

    Reference: arXiv:2301.04104, section "Actor learning".
    """

    def __init__(
        self,
        encoder,
        layers,
        units,
        *,
        min_std=0.1,
        max_std=1.0,
        unimix=0.0,
        out_scale=0.01,
        dtype="float32",
        **kwargs,
    ):
        """Describes the network.

        Args:
          encoder: `ActionEncoder` of the actions to choose.
          layers: Hidden layers.
          units: Width of each.
          min_std: Smallest standard deviation of continuous actions.
          max_std: Largest.
          unimix: Share of a uniform distribution in those of categories.
          out_scale: Scale of the output layers' initial kernels, see `fan_in_normal`. A small one
            begins with nearly the same distribution everywhere.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.

        Raises:
          ValueError: If the smallest standard deviation is above the largest.
        """
        if min_std > max_std:
            raise ValueError(f"an actor's min_std, {min_std}, is above its max_std, {max_std}")
        super().__init__(dtype=dtype, **kwargs)
        self.encoder = encoder
        self.min_std, self.max_std, self.unimix = min_std, max_std, unimix
        self.trunk = MLP(layers, units, 0, dtype=dtype, name="trunk", **rms_silu_layers())
        self.outs = {}
        for key in dict.fromkeys(part.key for part in encoder.parts):
            parts = self._parts(key)
            width = sum(part.size for part in parts)
            outputs = ("logits",) if parts[0].is_discrete else ("mean", "std")
            for output in outputs:
                name = f"{key}_{output}"
                self.outs[name] = dense_layer(
                    width, fan_in_normal(out_scale), dtype=dtype, name=layer_name(name)
                )

    def _parts(self, key):
        return [part for part in self.encoder.parts if part.key == key]

    def build(self, size):
        """Creates the weights for features ``[..., size]``."""
        self.trunk.build(size)
        for layer in self.outs.values():
            layer.build((None, self.trunk.output_size))

    def call(self, feat):
        """``[..., F]`` to a dict of the output layers' raw values, float32."""
        x = self.trunk(feat)
        return {name: tf.cast(layer(x), tf.float32) for name, layer in self.outs.items()}

    def dist(self, feat):
        """`JointActions` over ``[..., A]`` at features ``[..., F]``."""
        raw, dists = self(feat), []
        for key in dict.fromkeys(part.key for part in self.encoder.parts):
            parts = self._parts(key)
            if parts[0].is_discrete:
                logits = tf.split(raw[f"{key}_logits"], [part.size for part in parts], -1)
                dists += [OneHot(x, self.unimix) for x in logits]
            else:
                std = {"min_std": self.min_std, "max_std": self.max_std}
                dists.append(BoundedNormal(raw[f"{key}_mean"], raw[f"{key}_std"], **std))
        return JointActions(self.encoder, dists)

    def draws(self, rng, shape):
        """Draws for `JointActions.sample`: a tuple with those of each part.

        Uniform in [0, 1) ``shape`` for a category, standard normal ``[*shape, size]`` otherwise.
        """
        return tuple(
            rng.uniform(shape) if part.is_discrete else rng.normal([*shape, part.size])
            for part in self.encoder.parts
        )

    def mode_draws(self, rng, shape):
        """Nothing is drawn for `mode`."""
        del rng, shape
        return ()

    def mode(self, feat, noise=()):
        """The likeliest action vectors ``[..., A]`` at features ``[..., F]``."""
        del noise
        return self.dist(feat).mode()


class JointActions:
    """Independent distributions of the parts of action vectors, see `ActionEncoder`."""

    def __init__(self, encoder, dists):
        """Joins distributions.

        Args:
          encoder: `ActionEncoder`.
          dists: Distribution of each of its parts, in the order of the vector.
        """
        self._encoder = encoder
        self.dists = dists

    def sample(self, noise):
        """Action vectors ``[..., A]`` from the draws of `JointActor.draws`."""
        draws = zip(self.dists, noise, strict=True)
        return tf.concat([dist.sample(draw) for dist, draw in draws], -1)

    def mode(self):
        """The likeliest action vectors ``[..., A]``."""
        return tf.concat([dist.mode() for dist in self.dists], -1)

    def log_prob(self, vector):
        """Log-probability ``[...]`` of action vectors ``[..., A]``."""
        pieces = zip(self.dists, self._encoder.split(vector), strict=True)
        return sum(dist.log_prob(piece) for dist, piece in pieces)

    def entropy(self):
        """Dict of action key to entropy ``[...]`` in nats."""
        entropies = {}
        for part, dist in zip(self._encoder.parts, self.dists, strict=True):
            entropies[part.key] = entropies.get(part.key, 0.0) + dist.entropy()
        return entropies

    def entropy_bounds(self):
        """Dict of action key to the smallest and the largest entropy possible, in nats."""
        bounds = {}
        for part, dist in zip(self._encoder.parts, self.dists, strict=True):
            low, high = bounds.get(part.key, (0.0, 0.0))
            if part.is_discrete:
                bounds[part.key] = (low, high + math.log(part.size))
            else:
                bounds[part.key] = dist.entropy_bounds()
        return bounds
