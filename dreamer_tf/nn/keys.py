"""Encoders and decoders of observations with many keys: what all of them share, and DreamerV3's.

Those of PlaNet, Dreamer and DreamerV2 are in `multikey`.
"""

import re

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.distributions import IndependentOneHot, PseudoHuber, SquaredError
from dreamer_tf.nn.dense import MLP, dense_layer, fan_in_normal, layer_name, rms_silu_layers
from dreamer_tf.ops import float_to_image, image_to_float, symexp, symlog

NUMBER_LOSSES = {"squared": SquaredError, "huber": PseudoHuber}


class KeyPlan:
    """Which network serves which observation key, and how its values are scaled.

    Images go through convolutions side by side, in [-0.5, 0.5]. Everything else, called vectors
    here, goes through an MLP; subclasses say what it may be and how it is scaled.

    Attributes:
      images: Sorted keys of images.
      vectors: Sorted keys of everything else.
      shapes: Dict of key to the shape of a scaled value.
    """

    def __init__(self, obs_space):
        """Sorts the keys.

        Args:
          obs_space: Dict of key to `Space`.

        Raises:
          ValueError: If images differ in size, or if a vector is none that the networks serve.
        """
        self.images = sorted(key for key, space in obs_space.items() if space.is_image)
        self.vectors = sorted(key for key in obs_space if key not in self.images)
        self.shapes = {key: obs_space[key].shape for key in self.images}
        self.shapes |= {key: self.vector_shape(key, obs_space[key]) for key in self.vectors}
        sizes = {key: self.shapes[key][:2] for key in self.images}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"all images must have the same height and width, got {sizes}")

    @property
    def image_shape(self):
        """(height, width, channels) of all images side by side in the channels."""
        return (*self.shapes[self.images[0]][:2], sum(self.shapes[key][2] for key in self.images))

    def size(self, key):
        """Number of elements of a scaled value."""
        return int(np.prod(self.shapes[key]))

    def scale(self, obs):
        """Observations as the networks see them, and as decoders predict them.

        Args:
          obs: Dict of ``[..., *shape]`` tensors; other keys are left out. Images that are float
            already have been scaled by the agent and stay as they are.

        Returns:
          Dict of float32 tensors ``[..., *shape]``, the shapes those of ``shapes``.
        """
        scaled = {key: _scale_image(tf.convert_to_tensor(obs[key])) for key in self.images}
        return scaled | {key: self.scale_vector(key, obs[key]) for key in self.vectors}

    def restore(self, scaled):
        """The inverse of `scale`, images as bytes.

        Args:
          scaled: Dict of float32 tensors as `scale` returns them.
        """
        restored = {key: float_to_image(scaled[key]) for key in self.images}
        return restored | {key: self.restore_vector(key, scaled[key]) for key in self.vectors}

    def vector_shape(self, key, space):
        """The shape of a scaled value of a vector's `Space`.

        Raises:
          ValueError: If it is none that the networks serve.
        """
        raise NotImplementedError

    def scale_vector(self, key, value):
        """A vector as the networks see it, float32."""
        raise NotImplementedError

    def restore_vector(self, key, scaled):
        """The inverse of `scale_vector`."""
        raise NotImplementedError


def _scale_image(image):
    return image if image.dtype.is_floating else image_to_float(image)


class KeyEncoder(keras.Model):
    """Base of networks from observations to one embedding ``[..., E]``.

    Attributes:
      plan: `KeyPlan`.
      output_size: Width of the embedding (E).
    """

    def __init__(self, plan, **kwargs):
        super().__init__(**kwargs)
        self.plan = plan
        self.output_size = 0

    @property
    def images(self):
        """Keys of images."""
        return self.plan.images

    def inputs(self, obs):
        """Observations as ``call`` takes them, see `KeyPlan.scale`."""
        return self.plan.scale(obs)


class KeyDecoder(keras.Model):
    """Base of networks from features to a distribution of each observation.

    Attributes:
      plan: `KeyPlan`.
    """

    def __init__(self, plan, **kwargs):
        super().__init__(**kwargs)
        self.plan = plan

    @property
    def images(self):
        """Keys of images."""
        return self.plan.images

    @property
    def keys(self):
        """The observations that are predicted."""
        return [*self.plan.images, *self.plan.vectors]

    def targets(self, obs):
        """What is predicted, see `KeyPlan.scale`."""
        return self.plan.scale(obs)

    def restore(self, means):
        """Means, on the scale of `targets`, as observations again, see `KeyPlan.restore`."""
        return self.plan.restore(means)

    def dist(self, feat):
        """``[..., F]`` to a dict of distributions with batch shape ``[...]``."""
        raise NotImplementedError


def select_keys(obs_space, image_keys, vector_keys, name):
    """The observations that a network serves.

    Args:
      obs_space: Dict of key to `Space`.
      image_keys: Regular expression that an image's whole key must match.
      vector_keys: The same for vectors.
      name: Name of the network, for the message.

    Returns:
      Dict of key to `Space`, in the order of ``obs_space``.

    Raises:
      ValueError: If none is selected, or an expression is none.
    """
    try:
        patterns = {True: re.compile(image_keys), False: re.compile(vector_keys)}
    except re.error as error:
        raise ValueError(
            f"keys of the {name}: expected a regular expression, such as 'image|speed'; got "
            f"{error.pattern!r} ({error})"
        ) from error
    selected = {
        key: space for key, space in obs_space.items() if patterns[space.is_image].fullmatch(key)
    }
    if not selected:
        raise ValueError(
            f"the {name} serves no observation: none of the images matches {image_keys!r} and none "
            f"of the vectors {vector_keys!r}; there are {', '.join(obs_space)}"
        )
    return selected


# ---- DreamerV3: observations of every kind and scale.


class SymlogKeys(KeyPlan):
    """Numbers pass `symlog`, categories become one-hot; observations of every kind and scale.

    Attributes:
      categories: Dict of vector key to the number of categories; 0 for numbers.
      dtypes: Dict of key to the dtype of the observation.
    """

    def __init__(self, obs_space, symlog=True):
        """Sorts the keys.

        Args:
          obs_space: Dict of key to `Space`.
          symlog: Whether numbers pass it; otherwise they stay as they are.

        Raises:
          ValueError: If images differ in size, or if a key is neither an image nor float32, int32
            (with equally many categories everywhere) or bool.
        """
        self._symlog = symlog
        self.categories = {}
        self.dtypes = {key: obs_space[key].dtype for key in obs_space}
        super().__init__(obs_space)

    def vector_shape(self, key, space):
        """Categories have one more axis."""
        classes = self.categories[key] = _categories(key, space)
        return (*space.shape, classes) if classes else space.shape

    def scale_vector(self, key, value):
        """The symlog of numbers ``[..., *shape]``, one-hot categories ``[..., *shape, K]``."""
        if classes := self.categories[key]:
            return tf.one_hot(tf.cast(value, tf.int32), classes)
        value = tf.cast(value, tf.float32)
        return symlog(value) if self._symlog else value

    def restore_vector(self, key, scaled):
        """Of categories the likeliest; there may be probabilities in place of one-hot vectors."""
        if self.categories[key]:
            likeliest = tf.argmax(scaled, -1, output_type=tf.int32)
            return tf.cast(likeliest, self.dtypes[key])
        return symexp(scaled) if self._symlog else scaled


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


class SymlogEncoder(KeyEncoder):
    """Images through one network, all else through an MLP, both concatenated to one embedding.

    Reference: arXiv:2301.04104, section "Network architecture".
    """

    def __init__(
        self,
        obs_space,
        image_network,
        layers,
        units,
        *,
        symlog=True,
        dtype="float32",
        **kwargs,
    ):
        """Describes and builds the network.

        Args:
          obs_space: Dict of observation key to `Space`.
          image_network: `PyramidEncoder`, not yet built; left out if there are no images.
          layers: Dense layers for all other observations.
          units: Width of those layers.
          symlog: Whether numbers pass it before.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(SymlogKeys(obs_space, symlog), dtype=dtype, **kwargs)
        if self.plan.vectors:
            self.mlp = MLP(layers, units, 0, dtype=dtype, name="mlp", **rms_silu_layers())
            self.mlp.build(sum(self.plan.size(key) for key in self.plan.vectors))
            self.output_size += self.mlp.output_size
        if self.plan.images:
            self.cnn = image_network
            self.cnn.build(self.plan.image_shape)
            self.output_size += self.cnn.output_size
        self.built = True

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


class SymlogDecoder(KeyDecoder):
    """Features to a distribution per observation key, of what `SymlogKeys` makes of it.

    Images and numbers have a `SquaredError`, the latter on the logarithmic scale of `symlog` unless
    they stay as they are and, if so chosen, a `PseudoHuber` instead; categories have an
    `IndependentOneHot`.

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
        symlog=True,
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
          symlog: Whether their symlog is predicted, not numbers themselves.
          number_loss: Loss of numbers: ``squared`` or ``huber``.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(SymlogKeys(obs_space, symlog), dtype=dtype, **kwargs)
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
            self.cnn.build(deter_size, stoch_size, self.plan.image_shape)
        self.built = True

    def call(self, feat):
        """``[..., F]`` to a dict of means ``[..., *shape]``, float32; of categories, probabilities.

        They are on the scale of `targets`.
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
