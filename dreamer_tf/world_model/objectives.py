"""What the representation is trained for, besides rewards and the KL term.

An objective has ``networks``, those that it trains beside the representation;
``terms(obs, feat, embed)``, named ``[B, T]`` losses; ``scales``, a weight for each of them; and
``decoder``, None where it has none.
"""

import math

import tensorflow as tf

from dreamer_tf.distributions import pairwise_log_prob
from dreamer_tf.ops import contrastive_loss, cyclic_window

CANDIDATE_AXES = {"states": (2, 3), "observations": (0, 1)}


class Reconstruction(tf.Module):
    """Predict the observations from the features: −ln p(o_t | s_t), a term per key.

    Reference: arXiv:1912.01603, equation 9.
    """

    def __init__(self, decoder, scales=None):
        """Wraps the decoder.

        Args:
          decoder: `MultiDecoder`.
          scales: Dict of observation key to the weight of its loss; None: all 1.
        """
        super().__init__(name="reconstruction")
        self.decoder = decoder
        self.scales = scales or dict.fromkeys(decoder.keys, 1.0)

    @property
    def networks(self):
        """Dict of the networks that this objective trains."""
        return {"decoder": self.decoder}

    def terms(self, obs, feat, embed):
        """Negative log-likelihoods.

        Args:
          obs: Dict of observations ``[B, T, *shape]``, as the decoder's ``targets`` takes them.
          feat: ``[B, T, F]``.
          embed: ``[B, T, E]``; not used by this objective.

        Returns:
          Dict of key to ``[B, T]`` losses and dict of scalar metrics: of images and vectors the
          mean squared error per element, which unlike some losses has no constant floor.
        """
        del embed
        losses, metrics, truth = {}, {}, self.decoder.targets(obs)
        for key, dist in self.decoder.dist(feat).items():
            log_prob = dist.log_prob(truth[key])
            losses[key] = -log_prob
            metrics |= {f"{key}_{name}": value for name, value in dist.fit(log_prob).items()}
        return losses, metrics


class Contrastive(tf.Module):
    """Tell states and observations that belong together from those that do not.

    A state model q(s | o) predicts features from the embedding of an image. Its density of the
    right state is compared with its densities of candidates from the same batch, the right one
    among them, in one of two ways::

        states        loss[b, t] = ln Σ_{s'} q(s' | o_t) - ln q(s_t | o_t)     the author's code
        observations  loss[b, t] = ln Σ_{o'} q(s_t | o') - ln q(s_t | o_t)     the paper

    Candidates are the T' neighbouring time steps of B' neighbouring sequences, counted in a circle.
    The densities of all pairs of the batch are one matrix product, which costs far less than the
    encoder; pairs outside the windows are masked. Gradients reach states and embeddings, of right
    and wrong candidates alike.

    Reference: arXiv:1912.01603, equation 12.
    """

    decoder = None

    def __init__(self, state_model, *, scale=1.0, sequences=10, steps=30, candidates="states"):
        """Describes the comparison.

        Args:
          state_model: `GaussianHead` from embeddings (E) to features (F).
          scale: Weight of the loss.
          sequences: Sequences that candidates come from (B'), the own one included; None: all.
          steps: Time steps that they come from (T'), the own one included; None: all. Of both, a
            smaller batch has no more than it has.
          candidates: ``states``, compared given one observation, or ``observations``, compared by
            the state that they explain.

        Raises:
          ValueError: If ``candidates`` is neither.
        """
        super().__init__(name="contrastive")
        if candidates not in CANDIDATE_AXES:
            raise ValueError(f"candidates are {' or '.join(CANDIDATE_AXES)}, got {candidates!r}")
        self.state_model = state_model
        self.scales = {"contrastive": scale}
        self.sequences = sequences
        self.steps = steps
        self._axes = CANDIDATE_AXES[candidates]

    @property
    def networks(self):
        """Dict of the networks that this objective trains."""
        return {"state_model": self.state_model}

    def terms(self, obs, feat, embed):
        """The contrastive loss.

        Args:
          obs: Dict of observations; not used by this objective.
          feat: ``[B, T, F]``.
          embed: ``[B, T, E]``.

        Returns:
          Dict of ``contrastive``, ``[B, T]`` losses in nats, and dict of scalar metrics:
          ``contrastive_information``, ln(number of candidates) - loss.
        """
        del obs
        batch_size, length, size = feat.shape
        stats = self.state_model.stats(tf.reshape(embed, [batch_size * length, -1]))
        log_prob = pairwise_log_prob(**stats, values=tf.reshape(feat, [-1, size]))
        sequences = min(self.sequences or batch_size, batch_size)
        steps = min(self.steps or length, length)
        losses = contrastive_loss(
            tf.reshape(log_prob, [batch_size, length, batch_size, length]),
            cyclic_window(batch_size, sequences),
            cyclic_window(length, steps),
            self._axes,
        )
        information = math.log(sequences * steps) - tf.reduce_mean(losses)
        return {"contrastive": losses}, {"contrastive_information": information}


class RewardOnly(tf.Module):
    """No term of its own: rewards and the KL term alone shape the representation.

    Reference: arXiv:1912.01603, section 4, "Reward prediction".
    """

    decoder = None

    def __init__(self):
        super().__init__(name="reward_only")
        self.scales = {}

    @property
    def networks(self):
        """Dict of the networks that this objective trains: none."""
        return {}

    def terms(self, obs, feat, embed):
        """No terms and no metrics; takes what the other objectives take."""
        del obs, feat, embed
        return {}, {}
