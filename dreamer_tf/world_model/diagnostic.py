"""Decoding of features that are not trained to be decoded."""

import tensorflow as tf

from dreamer_tf.world_model.objectives import Reconstruction


class DecoderDiagnostic(tf.Module):
    """Learns to decode a world model's features without any influence on them.

    What an objective other than reconstruction puts into the features can then be looked at, and
    open-loop predictions shown. The decoder sees features without gradient and has an optimiser of
    its own, so that its gradient has no part in the norm that the model's is clipped by.
    """

    def __init__(self, decoder, step):
        """Joins decoder and optimiser.

        Args:
          decoder: `KeyDecoder`.
          step: `GradientStep` of its variables.
        """
        super().__init__(name="diagnostic")
        self.decoder = decoder
        self.reconstruction = Reconstruction(decoder)
        self.step = step

    def update(self, batch, feat):
        """One update of the decoder.

        Args:
          batch: Dict of ``[B, T, ...]`` with the observations.
          feat: ``[B, T, F]`` features of them.

        Returns:
          Dict of scalar metrics: those of `Reconstruction` and of `GradientStep`.
        """
        with tf.GradientTape() as tape:
            losses, metrics = self.reconstruction.terms(batch, tf.stop_gradient(feat), embed=None)
            losses = {f"{key}_loss": tf.reduce_mean(loss) for key, loss in losses.items()}
            total = sum(losses.values())
        gradients = self.step.gradients(tape, total)
        return losses | metrics | self.step.apply(total, gradients)
