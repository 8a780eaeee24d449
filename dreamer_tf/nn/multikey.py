"""Encoder and decoder for any mix of image and vector observations."""

import re

import keras
import tensorflow as tf

from dreamer_tf.distributions import UnitNormal
from dreamer_tf.nn.convolutions import ImageDecoder, ImageEncoder
from dreamer_tf.nn.dense import MLP
from dreamer_tf.ops import float_to_image, image_to_float, merge_leading, restore_leading


def split_keys(obs_space):
    """Sorts observation keys by the network that serves them.

    Args:
      obs_space: Dict of key to `Space`.

    Returns:
      Image keys and vector keys, each sorted.

    Raises:
      ValueError: If a key is neither an image nor a float vector, or if images differ in size.
    """
    images = sorted(key for key, space in obs_space.items() if space.is_image)
    vectors = sorted(key for key in obs_space if key not in images)
    for key in vectors:
        space = obs_space[key]
        if space.dtype != "float32" or len(space.shape) != 1:
            raise ValueError(
                f"observation {key!r}: expected uint8 [height, width, channels] "
                f"or float32 [size], got {space}"
            )
    sizes = {key: obs_space[key].shape[:2] for key in images}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"all images must have the same height and width, got {sizes}")
    return images, vectors


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
      ValueError: If none is selected.
    """
    patterns = {True: image_keys, False: vector_keys}
    selected = {
        key: space
        for key, space in obs_space.items()
        if re.fullmatch(patterns[space.is_image], key)
    }
    if not selected:
        raise ValueError(
            f"the {name} serves no observation: none of the images matches {image_keys!r} and none "
            f"of the vectors {vector_keys!r}; there are {', '.join(obs_space)}"
        )
    return selected


def joint_image_shape(obs_space, images):
    """(height, width, channels) of all images side by side in the channels."""
    channels = sum(obs_space[key].shape[2] for key in images)
    return (*obs_space[images[0]].shape[:2], channels)


def scale(obs, images, vectors):
    """Observations as the networks see them: scaled images and float vectors.

    Args:
      obs: Dict of ``[..., *shape]`` tensors; other keys are left out. Images that are float already
        have been scaled by the agent and stay as they are.
      images: Image keys.
      vectors: Vector keys.
    """
    scaled = {key: _scale_image(tf.convert_to_tensor(obs[key])) for key in images}
    return scaled | {key: tf.cast(obs[key], tf.float32) for key in vectors}


def _scale_image(image):
    return image if image.dtype.is_floating else image_to_float(image)


class MultiEncoder(keras.Model):
    """Images through convolutions, vectors through an MLP, both concatenated to one embedding."""

    def __init__(
        self,
        obs_space,
        *,
        depth,
        vector_layers,
        vector_units,
        image_activation="relu",
        vector_activation="elu",
        norm="none",
        dtype="float32",
        **kwargs,
    ):
        """Describes and builds the network.

        Args:
          obs_space: Dict of observation key to `Space`.
          depth: Channels of the first convolution.
          vector_layers: Dense layers for vectors.
          vector_units: Width of those layers.
          image_activation: Of the convolutions.
          vector_activation: Of the dense layers.
          norm: Of all hidden layers, see `NormAct`.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.images, self.vectors = split_keys(obs_space)
        self.output_size = 0
        if self.images:
            self.cnn = ImageEncoder(
                depth, activation=image_activation, norm=norm, dtype=dtype, name="cnn"
            )
            self.cnn.build(joint_image_shape(obs_space, self.images))
            self.output_size += self.cnn.output_size
        if self.vectors:
            self.mlp = MLP(
                vector_layers,
                vector_units,
                0,
                activation=vector_activation,
                norm=norm,
                dtype=dtype,
                name="mlp",
            )
            self.mlp.build(sum(obs_space[key].shape[0] for key in self.vectors))
            self.output_size += self.mlp.output_size
        self.built = True

    def inputs(self, obs):
        """Observations as the networks see them, see `scale`."""
        return scale(obs, self.images, self.vectors)

    def call(self, obs):
        """Scaled observations ``[..., *shape]`` to the embedding ``[..., E]``."""
        outputs = []
        if self.images:
            image = tf.concat([obs[key] for key in self.images], axis=-1)
            flat = self.cnn(merge_leading(image, 3))
            outputs.append(restore_leading(flat, image, 3))
        if self.vectors:
            outputs.append(self.mlp(tf.concat([obs[key] for key in self.vectors], axis=-1)))
        return tf.concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]


class MultiDecoder(keras.Model):
    """Features to a unit Normal per observation key."""

    def __init__(
        self,
        obs_space,
        feat_size,
        *,
        depth,
        vector_layers,
        vector_units,
        image_activation="relu",
        vector_activation="elu",
        norm="none",
        dtype="float32",
        **kwargs,
    ):
        """Describes and builds the network.

        Args:
          obs_space: Dict of observation key to `Space`.
          feat_size: Width of the features (F).
          depth: Channels before the last image layer.
          vector_layers: Dense layers for vectors.
          vector_units: Width of those layers.
          image_activation: Between the convolutions.
          vector_activation: Of the dense layers.
          norm: Of all hidden layers, see `NormAct`.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        super().__init__(dtype=dtype, **kwargs)
        self.images, self.vectors = split_keys(obs_space)
        self.sizes = {key: obs_space[key].shape[-1] for key in obs_space}
        if self.images:
            self.cnn = ImageDecoder(
                depth, activation=image_activation, norm=norm, dtype=dtype, name="cnn"
            )
            self.cnn.build(feat_size, joint_image_shape(obs_space, self.images))
        if self.vectors:
            outputs = sum(self.sizes[key] for key in self.vectors)
            self.mlp = MLP(
                vector_layers,
                vector_units,
                outputs,
                activation=vector_activation,
                norm=norm,
                dtype=dtype,
                name="mlp",
            )
            self.mlp.build(feat_size)
        self.built = True

    @property
    def keys(self):
        """The observations that are predicted."""
        return [*self.images, *self.vectors]

    def targets(self, obs):
        """What is predicted: observations as `scale` returns them."""
        return scale(obs, self.images, self.vectors)

    def call(self, feat):
        """``[..., F]`` to a dict of means ``[..., *shape]``, float32, on the scale of `scale`."""
        means = {}
        if self.images:
            joint = restore_leading(self.cnn(merge_leading(feat, 1)), feat, 1)
            sizes = [self.sizes[key] for key in self.images]
            means |= dict(zip(self.images, tf.split(joint, sizes, axis=-1), strict=True))
        if self.vectors:
            joint = tf.cast(self.mlp(feat), tf.float32)
            sizes = [self.sizes[key] for key in self.vectors]
            means |= dict(zip(self.vectors, tf.split(joint, sizes, axis=-1), strict=True))
        return means

    def restore(self, means):
        """Means on the scale of `scale` as observations again, images as bytes."""
        images = {key: float_to_image(means[key]) for key in self.images}
        return images | {key: means[key] for key in self.vectors}

    def dist(self, feat):
        """Dict of distributions with batch shape ``[...]``."""
        means = self(feat)
        ndims = {key: 3 if key in self.images else 1 for key in means}
        return {key: UnitNormal(mean, ndims[key]) for key, mean in means.items()}
