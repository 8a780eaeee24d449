"""Prototypes as an objective: two shifted views of the images belong to the same ones.

DreamerPro learns a representation without a decoder from what it assigns to prototypes, vectors of
length 1 that it learns along. Both views go through encoder and RSSM in a pass of their own.
"""

import keras
import tensorflow as tf

from dreamer_tf.ops import shift_image
from dreamer_tf.world_model.objectives import Objective


class Prototypes(keras.Model):
    """M vectors of P numbers."""

    def __init__(self, count, **kwargs):
        """Describes the vectors.

        Args:
          count: How many (M).
          **kwargs: Keras model arguments.
        """
        super().__init__(**kwargs)
        self.count = count

    def build(self, size):
        """Creates them, ``[M, size]``, in all directions."""
        self.vectors = self.add_weight(
            shape=(self.count, size),
            initializer=keras.initializers.RandomNormal(),
            name="vectors",
        )

    def call(self, frozen):
        """The vectors as directions ``[M, P]``, without gradient where ``frozen``."""
        vectors = tf.convert_to_tensor(self.vectors.value)
        return _direction(tf.where(frozen, tf.stop_gradient(vectors), vectors))

    def normalize(self):
        """Brings the stored vectors to length 1."""
        self.vectors.assign(_direction(self.vectors.value))


class DreamerPro(Objective):
    """What a view is assigned to is predicted from the other view, and from the features.

    ::

        prototypes   p = unit vectors [M, P]
        embedding    o = embed W_o         feature   f = feat W_f        target   slow networks
        logits       ln softmax(cos(o, p) / τ) and of f; assignments Q from the target's cosines
        swav         -⟨Q of the other view, logits of o⟩
        temp         -⟨Q of the same view, logits of f⟩
        norm         (|o| - 1)² + (|f| - 1)²

    The slow networks are moving averages of the encoder and of W_o; Q (`sinkhorn`) has no gradient.
    The first rows of each sequence, whose states know little, count in ``norm`` only. For a while
    at the beginning the prototypes stay as they are.

    The slow networks move, and the vectors are brought to length 1, behind an update. The author of
    the code that is followed does both before the loss, which is the same: nothing is in between.

    Reference: arXiv:2110.14565.
    """

    def __init__(
        self,
        prototypes,
        obs_projection,
        feat_projection,
        slow_encoder,
        slow_projection,
        *,
        scales,
        temperature=0.1,
        sinkhorn_epsilon=0.05,
        sinkhorn_iterations=3,
        warm_up=1,
        frozen=10_000,
        max_shift=3,
    ):
        """Joins built networks.

        Args:
          prototypes: `Prototypes`.
          obs_projection: `Linear` from embeddings (E) to the prototypes' space (P).
          feat_projection: `Linear` from features (F) to it.
          slow_encoder: `SlowCopy` of the encoder.
          slow_projection: `SlowCopy` of ``obs_projection``.
          scales: Dict of the weights of ``swav``, ``temp`` and ``norm``.
          temperature: τ.
          sinkhorn_epsilon: See `sinkhorn`.
          sinkhorn_iterations: Likewise.
          warm_up: First rows that do not count.
          frozen: The prototypes first move in that update, counted from 1.
          max_shift: Pixels that an image is shifted by at most.
        """
        super().__init__("dreamerpro", scales)
        self.prototypes = prototypes
        self.obs_projection = obs_projection
        self.feat_projection = feat_projection
        self.slow_encoder = slow_encoder
        self.slow_projection = slow_projection
        self.temperature = temperature
        self.sinkhorn_options = (sinkhorn_epsilon, sinkhorn_iterations)
        self.warm_up = warm_up
        self.frozen = frozen
        self.max_shift = max_shift
        self._advance()

    @property
    def networks(self):
        """Dict of the networks that this objective trains."""
        return {
            "prototypes": self.prototypes,
            "obs_projection": self.obs_projection,
            "feat_projection": self.feat_projection,
        }

    @property
    def slow_networks(self):
        """Dict of the moving averages."""
        return {
            "slow_encoder": self.slow_encoder.network,
            "slow_projection": self.slow_projection.network,
        }

    def draws(self, rng, latent, batch_size, length):
        """Dict of ``shift`` ``[2 B, 2]``, see `shift_image`, and ``view`` of the posterior."""
        shifts = 2 * self.max_shift + 1
        return {
            "shift": rng.uniform([2 * batch_size, 2], maxval=shifts, dtype=tf.int32),
            "view": latent.draws(rng, [length, 2 * batch_size]),
        }

    def views(self, batch, noise, state):
        """Each sequence twice, all its images shifted alike, see `Objective.views`."""
        twice = tf.nest.map_structure(lambda x: tf.concat([x, x], axis=0), (batch, state))
        batch, state = twice
        for key in self.slow_encoder.network.images:
            batch[key] = shift_image(batch[key], noise["shift"], self.max_shift)
        return batch, noise["view"], state

    def terms(self, obs, feat, embed):
        """The three losses, see `Objective.terms`.

        Args:
          obs: Dict of the views' observations ``[2 B, T, *shape]``, the first views first.
          feat: ``[2 B, T, F]`` features of them.
          embed: ``[2 B, T, E]`` embeddings.

        Returns:
          Dict of losses ``[2 B, T - warm_up]``, of ``norm`` ``[2 B, T]``, and no metrics.

        Raises:
          ValueError: If sequences end within the warm-up.
        """
        if feat.shape[1] <= self.warm_up:
            raise ValueError(
                f"a warm-up of {self.warm_up} rows leaves nothing of sequences of {feat.shape[1]}"
            )
        prototypes = self.prototypes(self.slow_encoder.updates < self.frozen)
        projected = {
            "obs": tf.cast(self.obs_projection(embed), tf.float32),
            "feat": tf.cast(self.feat_projection(feat), tf.float32),
        }
        logits = {
            name: tf.nn.log_softmax(self._cosines(x, prototypes) / self.temperature)
            for name, x in projected.items()
        }
        scores = self._cosines(self._slow_projected(obs), prototypes)
        first, second = (sinkhorn(view, *self.sinkhorn_options) for view in tf.split(scores, 2))
        swapped, own = tf.concat([second, first], axis=0), tf.concat([first, second], axis=0)
        return {
            "swav": -tf.reduce_sum(swapped * logits["obs"], axis=-1),
            "temp": -tf.reduce_sum(own * logits["feat"], axis=-1),
            "norm": sum(tf.square(_length(x) - 1.0) for x in projected.values()),
        }, {}

    def follow(self, skipped):
        """Moves the slow networks and normalises the prototypes, see `Objective.follow`."""
        tf.cond(skipped > 0, lambda: True, self._advance)

    def _advance(self):
        self.prototypes.normalize()
        self.slow_encoder.update()
        self.slow_projection.update()
        return True

    def _slow_projected(self, obs):
        encoder = self.slow_encoder.network
        return tf.cast(self.slow_projection.network(encoder(encoder.inputs(obs))), tf.float32)

    def _cosines(self, x, prototypes):
        """``[2 B, T, P]`` with each prototype, ``[2 B, T - warm_up, M]``."""
        return tf.tensordot(_direction(x[:, self.warm_up :]), prototypes, [[-1], [-1]])


def sinkhorn(scores, epsilon, iterations):
    """Assigns steps to prototypes so that all prototypes are used alike.

    From ``exp(scores / epsilon)``, shares of the prototypes and of the steps are made equal in
    turns; at last the shares of each step sum to 1, where there was at least one round.

    Args:
      scores: ``[B, T, M]`` cosines of B·T steps with M prototypes.
      epsilon: The smaller, the harder the assignment.
      iterations: Rounds.

    Returns:
      ``[B, T, M]`` shares, without gradient.

    Reference: arXiv:2006.09882, section 3.1.
    """
    batch_size, length, count = scores.shape
    steps = tf.cast(batch_size * length, tf.float32)
    logits = tf.stop_gradient(scores) / epsilon
    logits -= tf.reduce_logsumexp(logits)
    for _ in range(iterations):
        logits -= tf.reduce_logsumexp(logits, axis=(0, 1), keepdims=True)
        logits -= tf.math.log(tf.cast(count, tf.float32))
        logits -= tf.reduce_logsumexp(logits, axis=2, keepdims=True) + tf.math.log(steps)
    return steps * tf.exp(logits)


def _direction(x):
    """``[..., P]`` divided by its length."""
    return tf.math.l2_normalize(x, axis=-1, epsilon=1e-24)


def _length(x):
    """Length of ``[..., P]`` vectors; of one of zeros, with a gradient of zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(x), axis=-1), 1e-24))
