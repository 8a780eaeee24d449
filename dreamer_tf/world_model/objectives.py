"""What the representation is trained for, besides rewards and the KL term.

An objective has ``networks``, those that it trains beside the representation;
``terms(obs, feat, embed)``, named losses; ``scales``, a weight for each of them; and ``decoder``,
None where it has none. What few of them need has a default in `Objective`. The one with prototypes
is in ``dreamerpro.py``.
"""

import math

import tensorflow as tf

from dreamer_tf.distributions import pairwise_log_prob
from dreamer_tf.ops import contrastive_loss, cyclic_window, gather_over_replicas, replica_count

CANDIDATE_AXES = {"states": (2, 3), "observations": (0, 1)}
STD_EPSILON = 1e-8


class Objective(tf.Module):
    """What objectives have in common.

    Attributes:
      scales: Dict of the name of each loss to its weight.
      decoder: What predicts observations from features, if the objective trains that; else None.
    """

    decoder = None

    def __init__(self, name, scales):
        """Names the losses.

        Args:
          name: Name of the objective.
          scales: Dict of the name of each loss to its weight.
        """
        super().__init__(name=name)
        self.scales = scales

    @property
    def networks(self):
        """Dict of the networks that this objective trains; by default none."""
        return {}

    @property
    def slow_networks(self):
        """Dict of the networks that follow trained ones; by default none."""
        return {}

    def draws(self, rng, latent, batch_size, length):
        """Random draws of an update, as `views` takes them; by default none.

        Args:
          rng: A ``tf.random.Generator``.
          latent: Kind of stochastic state of the world model.
          batch_size: Sequences (B).
          length: Rows of each (T).
        """
        del rng, latent, batch_size, length
        return {}

    def views(self, batch, noise, state):
        """What the objective looks at instead of the batch itself; None, the default: nothing.

        Args:
          batch: Dict of ``[B, T, ...]``, as `WorldModel.observe` takes it.
          noise: Dict with what `draws` returned.
          state: `State` ``[B, ...]`` before the first row.

        Returns:
          Another batch, draws of the posterior and state, for a second `WorldModel.observe`.
        """
        del batch, noise, state

    def terms(self, obs, feat, embed):
        """The losses.

        Args:
          obs: Dict of observations ``[B, T, *shape]``, as the batch has them.
          feat: ``[B, T, F]`` features of posterior states.
          embed: ``[B, T, E]`` embeddings.

        Returns:
          Dict of losses of any shape, keys those of ``scales``, and dict of scalar metrics.
        """
        raise NotImplementedError

    def follow(self, skipped):
        """What goes on behind an update; by default nothing.

        Args:
          skipped: 1 if the update was skipped; everything then stays.
        """


class Reconstruction(Objective):
    """Predict the observations from the features: −ln p(o_t | s_t), a term per key.

    Reference: arXiv:1912.01603, equation 9.
    """

    def __init__(self, decoder, scales=None):
        """Wraps the decoder.

        Args:
          decoder: `KeyDecoder`.
          scales: Dict of observation key to the weight of its loss; None: all 1.
        """
        super().__init__("reconstruction", scales or dict.fromkeys(decoder.keys, 1.0))
        self.decoder = decoder

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


class Contrastive(Objective):
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
        super().__init__("contrastive", {"contrastive": scale})
        if candidates not in CANDIDATE_AXES:
            raise ValueError(f"candidates are {' or '.join(CANDIDATE_AXES)}, got {candidates!r}")
        self.state_model = state_model
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
        feat, embed = gather_over_replicas(feat), gather_over_replicas(embed)
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


class RewardOnly(Objective):
    """No term of its own: rewards and the KL term alone shape the representation.

    Reference: arXiv:1912.01603, section 4, "Reward prediction".
    """

    def __init__(self):
        super().__init__("reward_only", {})

    def terms(self, obs, feat, embed):
        """No terms and no metrics; takes what the other objectives take."""
        del obs, feat, embed
        return {}, {}


class R2(Objective):
    """Features say unit by unit what embeddings say, and each unit something else.

    A linear layer projects features to the width of embeddings. Both are standardised over the
    N = B·T rows, the embedding without gradient, and correlated::

        z = (x - mean) / (std + 1e-8)                per unit; std of N - 1 degrees of freedom
        C = z(feat W)ᵀ z(sg(embed)) / N              [E, E]
        loss = Σ_i (C_ii - 1)² + λ Σ_{i≠j} C_ij²     invariance and redundancy

    The encoder learns from it through the posterior alone. The loss grows with E.

    Reference: R2-Dreamer, arXiv:2603.18202; Barlow Twins, arXiv:2103.03230.
    """

    def __init__(self, projector, *, redundancy=5e-4, scale=0.05):
        """Describes the comparison.

        Args:
          projector: `Linear` from features (F) to the width of embeddings (E), without bias.
          redundancy: Weight of the pairs of different units (λ).
          scale: Weight of the loss.
        """
        super().__init__("r2", {"r2": scale})
        self.projector = projector
        self.redundancy = redundancy

    @property
    def networks(self):
        """Dict of the networks that this objective trains."""
        return {"projector": self.projector}

    def terms(self, obs, feat, embed):
        """The loss, a scalar, and its two parts as metrics; see `Objective.terms`."""
        del obs
        projected, target = _pairs(self.projector, feat, embed)
        count = target.shape[0]
        correlation = tf.matmul(_standardize(projected), _standardize(target), transpose_a=True)
        correlation /= count
        diagonal = tf.linalg.diag_part(correlation)
        others = tf.linalg.set_diag(correlation, tf.zeros_like(diagonal))
        invariance = tf.reduce_sum(tf.square(diagonal - 1.0))
        redundancy = tf.reduce_sum(tf.square(others))
        loss = invariance + self.redundancy * redundancy
        return {"r2": loss}, {"r2_invariance": invariance, "r2_redundancy": redundancy}


class InfoNCE(Objective):
    """Features pick the embedding of their own row among those of all rows of the batch.

    ``loss[n] = ln Σ_m exp(feat_n W · embed_m) - feat_n W · embed_n`` with the embeddings as targets
    without gradient, over the N = B·T rows.

    Reference: arXiv:1807.03748, equation 4; as an objective of DreamerV3, arXiv:2603.18202.
    """

    def __init__(self, projector, *, scale=1.0):
        """Describes the comparison.

        Args:
          projector: As for `R2`.
          scale: Weight of the loss.
        """
        super().__init__("infonce", {"infonce": scale})
        self.projector = projector

    @property
    def networks(self):
        """Dict of the networks that this objective trains."""
        return {"projector": self.projector}

    def terms(self, obs, feat, embed):
        """Losses ``[N]`` in nats, and ``infonce_information``, ln N - loss; `Objective.terms`."""
        del obs
        projected, target = _pairs(self.projector, feat, embed)
        logits = tf.matmul(projected, target, transpose_b=True)
        losses = -tf.linalg.diag_part(tf.nn.log_softmax(logits))
        information = math.log(target.shape[0]) - tf.reduce_mean(losses)
        return {"infonce": losses}, {"infonce_information": information}


def _pairs(projector, feat, embed):
    """Projected features and, without gradient, embeddings of all rows, both ``[N, E]``."""
    feat, embed = gather_over_replicas(feat), gather_over_replicas(tf.stop_gradient(embed))
    projected = tf.cast(projector(tf.reshape(feat, [-1, feat.shape[-1]])), tf.float32)
    target = tf.cast(tf.reshape(embed, [-1, embed.shape[-1]]), tf.float32)
    return projected, tf.stop_gradient(target)


def _standardize(x):
    """``[N, E]`` with mean 0 and, up to an epsilon, standard deviation 1 in each column."""
    centred = x - tf.reduce_mean(x, axis=0)
    variance = tf.reduce_sum(tf.square(centred), axis=0) / (x.shape[0] - 1)
    # The root of zero has no gradient.
    return centred / (tf.sqrt(tf.maximum(variance, 1e-30)) + STD_EPSILON)


def effective_rank(feat, rows=128):
    """In how many directions features vary: no collapse of a representation goes unseen.

    exp of the entropy of the shares that the principal axes have in the variance: 1 where all
    features lie on a line, n where they vary equally in n directions. At most F, and one less than
    the number of rows.

    Args:
      feat: ``[..., F]``.
      rows: How many of them are looked at, at regular distances.

    Returns:
      Scalar, without gradient.
    """
    flat = tf.stop_gradient(tf.reshape(tf.cast(feat, tf.float32), [-1, feat.shape[-1]]))
    every = math.ceil(flat.shape[0] * replica_count() / rows)
    if flat.shape[0] % every:
        flat = gather_over_replicas(flat)[::every]
    else:
        flat = gather_over_replicas(flat[::every])
    centred = flat - tf.reduce_mean(flat, axis=0)
    # Of rows with rows, which has the same eigenvalues as that of units with units.
    products = tf.matmul(centred, centred, transpose_b=True)
    # An update that is skipped must not fail here.
    products = tf.where(tf.math.is_finite(products), products, 0.0)
    variances = tf.nn.relu(tf.linalg.eigvalsh(products))
    shares = tf.math.divide_no_nan(variances, tf.reduce_sum(variances))
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(shares, shares)))
