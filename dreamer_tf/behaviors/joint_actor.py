"""A policy over every kind of action at once: boxes, categories, several of them, dicts."""

import math

import keras
import tensorflow as tf

from dreamer_tf.distributions import BoundedNormal, OneHot
from dreamer_tf.nn import MLP, dense_layer, fan_in_normal, layer_name, rms_silu_layers


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
        """
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
