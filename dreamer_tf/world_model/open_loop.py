"""Open-loop prediction: how well the world model foresees what it is not shown."""

import numpy as np
import tensorflow as tf

from dreamer_tf.ops import float_to_image, swap_time
from dreamer_tf.world_model.rssm import get_feat

SEQUENCES = 6
CONTEXT = 5


class OpenLoop:
    """Five steps with observations, then imagination alone, along the actions that were taken.

    Videos show the truth, the model, and their difference (grey is none) one above the other.
    """

    def __init__(self, world_model, decoder, rng):
        """Prepares the graph.

        Args:
          world_model: `WorldModel`.
          decoder: `KeyDecoder` of its features.
          rng: A ``tf.random.Generator``.
        """
        self._world_model = world_model
        self._decoder = decoder
        self._rng = rng
        self.predict = tf.function(self._predict, autograph=False)

    def __call__(self, batch):
        """Predicts the first sequences of a batch.

        Args:
          batch: Dict of ``[B, T, ...]`` with actions as the world model takes them.

        Returns:
          Dict of scalars, the mean squared error per element of each observation key behind the
          context, up to the end of the episode that the context ends in (NaN where no row is
          left), and of uint8 videos ``[6, T, height, width, channels]``, keys
          ``openloop/<image key>``.

        Raises:
          ValueError: If the sequences are not longer than the context.
        """
        length = batch["reward"].shape[1]
        if length <= CONTEXT:
            raise ValueError(f"open-loop prediction needs more than {CONTEXT} rows, got {length}")
        batch = {key: value[:SEQUENCES] for key, value in batch.items()}
        errors, videos = self.predict(batch)
        scalars = {f"openloop_{key}_mse": float(error) for key, error in errors.items()}
        return scalars | {f"openloop/{key}": np.asarray(video) for key, video in videos.items()}

    def _predict(self, batch):
        rssm, decoder = self._world_model.rssm, self._decoder
        batch_size, length = batch["reward"].shape
        context = {key: value[:, :CONTEXT] for key, value in batch.items()}
        noise = rssm.latent.draws(self._rng, [CONTEXT, batch_size])
        _, post, _ = self._world_model.observe(context, noise)
        start = tf.nest.map_structure(lambda x: x[:, -1], post)
        draws = {
            "latent": rssm.latent.draws(self._rng, [length - CONTEXT, batch_size]),
            "policy": swap_time(batch["action"][:, CONTEXT:]),
        }
        prior = rssm.imagine(lambda state, action: action, start, draws)
        feat = tf.concat([get_feat(post), swap_time(get_feat(prior))], axis=1)
        truth, model = decoder.targets(batch), decoder(feat)
        # Another episode's rows cannot be foreseen.
        begun = tf.cumsum(tf.cast(batch["is_first"][:, CONTEXT:], tf.int32), axis=1)
        errors = {
            key: tf.reduce_mean(
                tf.math.squared_difference(truth[key], model[key])[:, CONTEXT:][begun == 0]
            )
            for key in model
        }
        videos = {}
        for key in decoder.images:
            difference = (model[key] - truth[key]) / 2.0
            rows = [truth[key], model[key], difference]
            videos[key] = tf.concat([float_to_image(row) for row in rows], axis=2)
        return errors, videos
