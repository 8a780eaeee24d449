"""Encoder and decoder of PlaNet, Dreamer and DreamerV2: any mix of images and float vectors."""

import tensorflow as tf

from dreamer_tf.distributions import UnitNormal
from dreamer_tf.nn.convolutions import ImageDecoder, ImageEncoder
from dreamer_tf.nn.dense import MLP
from dreamer_tf.nn.keys import KeyDecoder, KeyEncoder, KeyPlan
from dreamer_tf.ops import merge_leading, restore_leading


class FloatKeys(KeyPlan):
    """Vectors are float32 ``[size]`` and stay as they are."""

    def vector_shape(self, key, space):
        """The shape of the observation."""
        if space.dtype != "float32" or len(space.shape) != 1:
            raise ValueError(
                f"observation {key!r}: expected uint8 [height, width, channels] "
                f"or float32 [size], got {space}"
            )
        return space.shape

    def scale_vector(self, key, value):
        """The observation."""
        return tf.cast(value, tf.float32)

    def restore_vector(self, key, scaled):
        """The observation."""
        return scaled


class MultiEncoder(KeyEncoder):
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
        super().__init__(FloatKeys(obs_space), dtype=dtype, **kwargs)
        plan = self.plan
        if plan.images:
            self.cnn = ImageEncoder(
                depth, activation=image_activation, norm=norm, dtype=dtype, name="cnn"
            )
            self.cnn.build(plan.image_shape)
            self.output_size += self.cnn.output_size
        if plan.vectors:
            self.mlp = MLP(
                vector_layers,
                vector_units,
                0,
                activation=vector_activation,
                norm=norm,
                dtype=dtype,
                name="mlp",
            )
            self.mlp.build(sum(plan.size(key) for key in plan.vectors))
            self.output_size += self.mlp.output_size
        self.built = True

    def call(self, obs):
        """Scaled observations ``[..., *shape]`` to the embedding ``[..., E]``."""
        plan, outputs = self.plan, []
        if plan.images:
            image = tf.concat([obs[key] for key in plan.images], axis=-1)
            flat = self.cnn(merge_leading(image, 3))
            outputs.append(restore_leading(flat, image, 3))
        if plan.vectors:
            outputs.append(self.mlp(tf.concat([obs[key] for key in plan.vectors], axis=-1)))
        return tf.concat(outputs, axis=-1) if len(outputs) > 1 else outputs[0]


class MultiDecoder(KeyDecoder):
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
        super().__init__(FloatKeys(obs_space), dtype=dtype, **kwargs)
        plan = self.plan
        if plan.images:
            self.cnn = ImageDecoder(
                depth, activation=image_activation, norm=norm, dtype=dtype, name="cnn"
            )
            self.cnn.build(feat_size, plan.image_shape)
        if plan.vectors:
            outputs = sum(plan.size(key) for key in plan.vectors)
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

    def call(self, feat):
        """``[..., F]`` to a dict of means ``[..., *shape]``, float32, on the scale of `targets`."""
        plan, means = self.plan, {}
        if plan.images:
            joint = restore_leading(self.cnn(merge_leading(feat, 1)), feat, 1)
            sizes = [plan.shapes[key][-1] for key in plan.images]
            means |= dict(zip(plan.images, tf.split(joint, sizes, axis=-1), strict=True))
        if plan.vectors:
            joint = tf.cast(self.mlp(feat), tf.float32)
            sizes = [plan.shapes[key][-1] for key in plan.vectors]
            means |= dict(zip(plan.vectors, tf.split(joint, sizes, axis=-1), strict=True))
        return means

    def dist(self, feat):
        """Dict of distributions with batch shape ``[...]``."""
        means = self(feat)
        ndims = {key: 3 if key in self.plan.images else 1 for key in means}
        return {key: UnitNormal(mean, ndims[key]) for key, mean in means.items()}
