"""The world model: encoder, RSSM, representation objective and prediction heads together."""

import tensorflow as tf

from dreamer_tf.world_model.rssm import get_feat


class WorldModel(tf.Module):
    """Holds the parts and computes every loss term; the agent weighs and adds them.

    Keys of the losses: the objective's (of `Reconstruction` one per observation key), one per head,
    and those of the KL divergence.
    """

    def __init__(self, encoder, rssm, objective, heads, kl, *, detached=()):
        """Joins built networks.

        Args:
          encoder: `KeyEncoder`.
          rssm: `RSSM`.
          objective: Representation objective such as `Reconstruction`.
          heads: Dict of name to head; ``reward``, and optionally ``cont``.
          kl: How the KL divergence enters, such as `JointKL`.
          detached: Names of the heads, ``decoder`` among them, that learn from the features without
            shaping them.
        """
        super().__init__(name="world_model")
        self.encoder = encoder
        self.rssm = rssm
        self.objective = objective
        self.heads = heads
        self.kl = kl
        self.detached = frozenset(detached)

    @property
    def networks(self):
        """Dict of name to Keras model."""
        parts = {"encoder": self.encoder, "rssm": self.rssm}
        return parts | self.objective.networks | self.heads

    @property
    def trainable_variables(self):
        """Variables of all parts. (A tf.Module does not list those of Keras layers inside it.)"""
        return [v for network in self.networks.values() for v in network.trainable_variables]

    def filter_step(self, obs, state, action, is_first, noise):
        """One step of acting: encodes an observation and updates the latent state.

        Args:
          obs: Dict of observations ``[N, *shape]``.
          state: Posterior `State` ``[N, ...]`` of the step before.
          action: ``[N, A]``, taken in it.
          is_first: ``[N]`` bool, where both are forgotten.
          noise: ``[N, S]`` draws of the posterior.

        Returns:
          Posterior `State` ``[N, ...]``.
        """
        embed = self.encoder(self.encoder.inputs(obs))
        return self.rssm.obs_step(state, action, embed, is_first, noise)

    def observe(self, batch, noise, state=None):
        """Filters a batch of sequences.

        Args:
          batch: Dict of ``[B, T, ...]``: observations, ``action`` (float), ``is_first``.
          noise: ``[T, B, S]`` draws of the posterior.
          state: `State` ``[B, ...]`` before the first row; None: the initial one.

        Returns:
          Embeddings ``[B, T, E]``, posterior `State` ``[B, T, ...]``, and the prior's stats.
        """
        embed = self.encoder(self.encoder.inputs(batch))
        if state is None:
            state = self.rssm.initial_state(embed.shape[0])
        post, prior = self.rssm.observe(embed, batch["action"], batch["is_first"], state, noise)
        return embed, post, prior

    def losses(self, batch, targets, noise, state=None, views=None):
        """Every loss term of a batch.

        ::

            t        0     1     2    ...   T-1
            action   a_-1  a_0   a_1        a_{T-2}    led to o_t
            obs      o_0   o_1   o_2        o_{T-1}
            post     s_0   s_1   s_2        s_{T-1}
            reward   r_0   r_1   r_2        r_{T-1}    for arriving at o_t, predicted from s_t

        Args:
          batch: As for `observe`.
          targets: Dict of head name to its ``[B, T]`` target.
          noise: ``[T, B, S]`` draws of the posterior.
          state: As for `observe`.
          views: What the objective looks at instead, see `Objective.views`; None: this batch.

        Returns:
          Dict of losses ``[B, T]``, the objective's of any shape, those of the KL divergence
          possibly scalar; posterior `State`
          ``[B, T, ...]``; dict of scalar metrics.

        Raises:
          ValueError: If the targets are not those of the heads, or an observation is called like
            another loss.
        """
        if targets.keys() != self.heads.keys():
            raise ValueError(f"heads {list(self.heads)} do not match targets {list(targets)}")
        embed, post, prior = self.observe(batch, noise, state)
        feat = get_feat(post)
        shaped = tf.stop_gradient(feat) if "decoder" in self.detached else feat
        seen = (batch, shaped, embed) if views is None else self._look_again(*views)
        losses, metrics = self.objective.terms(*seen)
        taken = losses.keys() & {*self.heads, *self.kl.names}
        if taken:
            raise ValueError(f"observations must not be called {sorted(taken)}, as losses are")
        for name, head in self.heads.items():
            seen = tf.stop_gradient(feat) if name in self.detached else feat
            losses[name] = -head.dist(seen).log_prob(targets[name])
        kl_losses, metrics["kl"] = self.kl.losses(self.rssm.latent.kl, post.stats, prior)
        metrics["prior_entropy"] = tf.reduce_mean(self.rssm.latent.entropy(prior))
        metrics["post_entropy"] = tf.reduce_mean(self.rssm.latent.entropy(post.stats))
        return losses | kl_losses, post, metrics

    def _look_again(self, batch, noise, state):
        """Observations, features and embeddings of another pass."""
        embed, post, _ = self.observe(batch, noise, state)
        return batch, get_feat(post), embed
