"""Purely stochastic state-space model: the RSSM without its memory.

::

        stoch_{t-1} ─► dense ──► hidden_t ──┬──► prior ──► q(s_t | s_{t-1}, a_{t-1})
                        ▲                   │
        action_t ───────┘                   └──► post ──► p(s_t | s_{t-1}, a_{t-1}, o_t)
        embed_t  ───────────────────────────────────┘

All that passes from one step to the next, and all that the heads see, is the sample. What has to be
remembered has to survive the noise of every step.

Reference: arXiv:1811.04551, section 3 and figure 2b.
"""

import tensorflow as tf

from dreamer_tf.nn import FeedForwardCell
from dreamer_tf.ops import unless
from dreamer_tf.world_model.rssm import RSSM


class SSM(RSSM):
    """An `RSSM` whose cell has no memory, and whose ``deter`` is empty (``[..., 0]``)."""

    def __init__(self, latent, hidden, *, activation="elu", dtype="float32", **kwargs):
        """Describes the model.

        Args:
          latent: Kind of stochastic state such as `GaussianLatent`.
          hidden: Width of the layers.
          activation: Of the layers.
          dtype: Keras dtype policy.
          **kwargs: Keras model arguments.
        """
        cell = FeedForwardCell(hidden, activation=activation, dtype=dtype, name="cell")
        super().__init__(cell, latent, hidden, activation=activation, dtype=dtype, **kwargs)
        self.feat_size = latent.size

    def initial_state(self, batch_size):
        """The state before any step: zeros."""
        return _without_deter(super().initial_state(batch_size))

    def _obs_step(self, state, inputs):
        return _without_deter(super()._obs_step(state, inputs))

    def _img_step(self, state, inputs):
        return _without_deter(super()._img_step(state, inputs))

    def _priors(self, start, post, inputs):
        projected_action, _, is_first, _ = inputs
        before = tf.concat([start.stoch[None], post.stoch[:-1]], axis=0)
        return self.prior_stats(self.cell(None, unless(is_first, before), projected_action))


def _without_deter(state):
    return state._replace(deter=state.deter[..., :0])
