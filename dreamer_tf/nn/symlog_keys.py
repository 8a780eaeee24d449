"""Encoder and decoder for observations of every kind and scale: images, numbers, categories."""

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.distributions import IndependentOneHot, PseudoHuber, SquaredError
from dreamer_tf.nn.dense import MLP, dense_layer, layer_name, rms_silu_layers
from dreamer_tf.nn.initializers import fan_in_normal
from dreamer_tf.nn.multikey import joint_image_shape
from dreamer_tf.ops import float_to_image, image_to_float, symexp, symlog

NUMBER_LOSSES = {"squared": SquaredError, "huber": PseudoHuber}


class KeyPlan:
    """Which network serves which observation key, and how its values are scaled.

    Attributes:
      images: Sorted keys of images.
      vectors: Sorted keys of everything else.
      shapes: Dict of key to the shape of a scaled value.
      dtypes: Dict of key to the dtype of the observation.
    """

    def __init__(self, obs_space):
        """Sorts the keys.

        Args:
          obs_space: Dict of key to `Space`.

        Raises:
          ValueError: If images differ in size, or if a key is neither an image nor float32, int32
            (with equally many categories everywhere) or bool.
        """
        self.images = sorted(key for key, space in obs_space.items() if space.is_image)
        self.vectors = sorted(key for key in obs_space if key not in self.images)
        self.categories = {key: _categories(key, obs_space[key]) for key in self.vectors}
        self.shapes = {key: obs_space[key].shape for key in obs_space}
        self.dtypes = {key: obs_space[key].dtype for key in obs_space}
        for key, classes in self.categories.items():
            if classes:
                self.shapes[key] = (*self.shapes[key], classes)
        sizes = {key: self.shapes[key][:2] for key in self.images}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"all images must have the same height and width, got {sizes}")

    def size(self, key):
        """Number of elements of a scaled value."""
        return int(np.prod(self.shapes[key]))

    def scale(self, obs):
        """Observations as the networks see them, and as the decoder predicts them.

        Images are scaled to [-0.5, 0.5], numbers pass `symlog`, categories become one-hot.

        Args:
          obs: Dict of ``[..., *shape]`` tensors; other keys are left out.

        Returns:
          Dict of float32 tensors ``[..., *shape]``, those of categories ``[..., *shape, K]``.
        """
        scaled = {key: image_to_float(obs[key]) for key in self.images}
        for key, classes in self.categories.items():
            if classes:
                scaled[key] = tf.one_hot(tf.cast(obs[key], tf.int32), classes)
            else:
                scaled[key] = symlog(tf.cast(obs[key], tf.float32))
        return scaled

    def restore(self, scaled):
        """The inverse of `scale`: images as bytes, of categories the likeliest.

        Args:
          scaled: Dict of float32 tensors as `scale` returns them; categories may have
            probabilities in place of one-hot vectors.
        """
        restored = {key: float_to_image(scaled[key]) for key in self.images}
        for key, classes in self.categories.items():
            if classes:
                likeliest = tf.argmax(scaled[key], -1, output_type=tf.int32)
                restored[key] = tf.cast(likeliest, self.dtypes[key])
            else:
                restored[key] = symexp(scaled[key])
        return restored


def _categories(key, space):
    """Number of categories of a space's elements; 0 for numbers."""
    if space.dtype == np.float32:
        return 0
    if space.dtype == bool:
        return 2
    if space.is_discrete and len(set(space.classes.flat)) == 1:
        return int(space.classes.flat[0])
    raise ValueError(
        f"observation {key!r}: expected an image (uint8 [height, width, channels]), float32, bool, "
        f"or int32 with the same number of categories for each element; got {space}"
    )


class SymlogEncoder(keras.Model):
    """Images through one network, all else through an MLP, both concatenated to one embedding.

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(self, obs_space, image_network, layers, units, *, dtype="float32", **kwargs):
        """Describes and builds the network.

        Args:
          obs_space: Dict of observation key to `Space`.
          image_network: `PyramidEncoder`, not yet built; left out if there are no images.
          layers: Dense layers for all other observations.
          units: Width of those layers.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.plan = KeyPlan(obs_space)
        self.output_size = 0
        if self.plan.vectors:
            self.mlp = MLP(layers, units, 0, dtype=dtype, name="mlp", **rms_silu_layers())
            self.mlp.build(sum(self.plan.size(key) for key in self.plan.vectors))
            self.output_size += self.mlp.output_size
        if self.plan.images:
            self.cnn = image_network
            self.cnn.build(joint_image_shape(obs_space, self.plan.images))
            self.output_size += self.cnn.output_size
        self.built = True

    def inputs(self, obs):
        """Observations as the networks see them, see `KeyPlan.scale`."""
        return self.plan.scale(obs)

    def call(self, obs):
        """Scaled observations ``[..., *shape]`` to the embedding ``[..., E]``."""
        plan, outputs = self.plan, []
        if plan.vectors:
            flat = [_flatten(obs[key], len(plan.shapes[key])) for key in plan.vectors]
            outputs.append(self.mlp(tf.concat(flat, axis=-1)))
        if plan.images:
            image = tf.concat([obs[key] for key in plan.images], axis=-1)
            flat = self.cnn(tf.reshape(image, [-1, *image.shape[-3:]]))
            outputs.append(_unflatten(flat, image, 3, [self.cnn.output_size]))
        return tf.concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]


class SymlogDecoder(keras.Model):
    """Features to a distribution per observation key, of what `KeyPlan.scale` returns.

    Images and numbers have a `SquaredError`, the latter with the logarithmic scale of `symlog` and,
    if so chosen, a `PseudoHuber` instead; categories have an `IndependentOneHot`.

    Reference: arXiv:2301.04104, section "World model learning".
    """

    def __init__(
        self,
        obs_space,
        sizes,
        image_network,
        layers,
        units,
        *,
        number_loss="squared",
        dtype="float32",
        **kwargs,
    ):
        """Describes and builds the network.

        Args:
          obs_space: Dict of observation key to `Space`.
          sizes: Widths of the stochastic (S) and the deterministic state (D), in the order in which
            features hold them.
          image_network: `PyramidDecoder`, not yet built; left out if there are no images.
          layers: Dense layers for all other observations.
          units: Width of those layers.
          number_loss: Loss of numbers: ``squared`` or ``huber``.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.plan = KeyPlan(obs_space)
        self._sizes = sizes
        self._number_dist = NUMBER_LOSSES[number_loss]
        stoch_size, deter_size = sizes
        if self.plan.vectors:
            self.mlp = MLP(layers, units, 0, dtype=dtype, name="mlp", **rms_silu_layers())
            self.mlp.build(sum(sizes))
            self.outs = [
                dense_layer(
                    self.plan.size(key), fan_in_normal(), dtype=dtype, name=layer_name(f"out_{key}")
                )
                for key in self.plan.vectors
            ]
            for out in self.outs:
                out.build((None, self.mlp.output_size))
        if self.plan.images:
            self.cnn = image_network
            shape = joint_image_shape(obs_space, self.plan.images)
            self.cnn.build(deter_size, stoch_size, shape)
        self.built = True

    @property
    def images(self):
        """Keys of images."""
        return self.plan.images

    @property
    def keys(self):
        """All keys that are predicted."""
        return [*self.plan.images, *self.plan.vectors]

    def targets(self, obs):
        """What is predicted, see `KeyPlan.scale`."""
        return self.plan.scale(obs)

    def restore(self, means):
        """Means on the scale of `scale` as observations again, see `KeyPlan.restore`."""
        return self.plan.restore(means)

    def call(self, feat):
        """``[..., F]`` to a dict of means ``[..., *shape]``, float32; of categories, probabilities.

        They are on the scale of `scale`.
        """
        return {key: dist.mean for key, dist in self.dist(feat).items()}

    def dist(self, feat):
        """Dict of distributions with batch shape ``[...]``."""
        plan, dists = self.plan, {}
        if plan.images:
            stoch, deter = tf.split(tf.reshape(feat, [-1, feat.shape[-1]]), self._sizes, axis=-1)
            joint = self.cnn(deter, stoch)
            joint = _unflatten(joint, feat, 1, joint.shape[1:])
            channels = [plan.shapes[key][-1] for key in plan.images]
            for key, mean in zip(plan.images, tf.split(joint, channels, axis=-1), strict=True):
                dists[key] = SquaredError(mean, 3)
        if plan.vectors:
            x = self.mlp(feat)
            for key, out in zip(plan.vectors, self.outs, strict=True):
                shape = plan.shapes[key]
                raw = _unflatten(tf.cast(out(x), tf.float32), feat, 1, shape)
                if plan.categories[key]:
                    dists[key] = IndependentOneHot(raw, len(shape) - 1)
                else:
                    dists[key] = self._number_dist(raw, len(shape))
        return dists


def _flatten(x, ndims):
    """Makes one axis of the last ``ndims`` axes; a new one if that is zero."""
    size = int(np.prod(x.shape[x.shape.rank - ndims :]))
    return _unflatten(x, x, ndims, [size])


def _unflatten(x, like, ndims, shape):
    """Gives ``x`` the axes of ``like`` without its last ``ndims``, then those of ``shape``."""
    static = like.shape[: like.shape.rank - ndims]
    if static.is_fully_defined():
        return tf.reshape(x, [*static, *shape])
    leading = tf.shape(like)[: len(static)]
    return tf.reshape(x, tf.concat([leading, tf.constant(list(shape), tf.int32)], axis=0))
