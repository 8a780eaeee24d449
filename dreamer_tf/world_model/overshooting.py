"""Latent overshooting: predictions over several steps, drawn towards what is known later."""

import tensorflow as tf

from dreamer_tf.ops import swap_time


def overshooting_kl(model, post, action, is_first, noise):
    """KL of every posterior to what was predicted for it two and more steps before.

    The usual KL term trains predictions of one step. Here the transition model goes on from every
    posterior sample without observations, all start times side by side, and its prediction for
    ``d`` steps later is compared with the posterior that has seen the observations since::

        KL_d(t) = KL( sg p(s_t | o_1 … o_t) ‖ q(s_t | s_{t-d}, a_{t-d} … a_{t-1}) ),   d = 2 … D

    The posterior on the left has no gradient: predictions are drawn towards it, not the other way
    round. The sample ``s_{t-d}`` that a prediction starts from has one, as in the usual term.

    For example, the posterior means 0, 2, 3, 7, a transition model that adds the action to the
    state, actions of 1, standard deviations of 1 and no noise::

        t                     0     1     2     3
        posterior mean        0     2     3     7
        predicted from 0      ·     1     2     3
        predicted from 1      ·     ·     3     4
        distance 2            -     -    0.5   4.5      ½ (3 - 2)²   ½ (7 - 4)²
        distance 3            -     -     -    8.0                   ½ (7 - 3)²

    Args:
      model: Transition model such as `RSSM`.
      post: Posterior `State` ``[B, T, ...]``.
      action: ``[B, T, A]``; ``action[:, t]`` led to the state at ``t``.
      is_first: ``[B, T]`` bool; nothing is predicted from one episode into another.
      noise: ``[D, T, B, S]`` draws of the transition model for each distance and start time, with
        D < T the largest distance.

    Returns:
      Divergences ``[D-1, B, T]`` in nats, and bool ``[D-1, B, T]``, which of them exist; the others
      are zero. The first axis is the distance from 2, the last the time of the posterior.

    Raises:
      ValueError: If D is not between 2 and T - 1.

    Reference: arXiv:1811.04551, equation 7.
    """
    distance, length = noise.shape[0], action.shape[1]
    if not 2 <= distance < length:
        raise ValueError(
            f"expected at least 3 rows in a sequence (replay.batch_length) and a largest distance "
            f"between 2 and {length - 1} in sequences of {length} rows, got {distance}"
        )
    post, action, is_first = tf.nest.map_structure(swap_time, (post, action, is_first))
    target = tf.nest.map_structure(tf.stop_gradient, post.stats)
    state, exists = post, tf.ones_like(is_first)
    divergences, existing = [], []
    for d in range(1, distance + 1):
        # Predictions that started at 0 … T-1-d arrive at d … T-1; one start fewer each time.
        state = tf.nest.map_structure(lambda x, starts=length - d: x[:starts], state)
        exists = exists[: length - d] & ~is_first[d:]
        state = _step(model, state, action[d:], noise[d - 1, : length - d])
        if d > 1:
            later = tf.nest.map_structure(lambda x, d=d: x[d:], target)
            padding = [[d, 0], [0, 0]]
            divergence = tf.where(exists, model.latent.kl(later, state.stats), 0.0)
            divergences.append(swap_time(tf.pad(divergence, padding)))
            existing.append(swap_time(tf.pad(exists, padding)))
    return tf.stack(divergences), tf.stack(existing)


def _step(model, state, action, noise):
    """`img_step` with start times and sequences ``[N, B, ...]`` as one batch."""
    leading = action.shape[:2]
    flat = tf.nest.map_structure(
        lambda x: tf.reshape(x, [leading.num_elements(), *x.shape[2:]]), (state, action, noise)
    )
    return tf.nest.map_structure(
        lambda x: tf.reshape(x, [*leading, *x.shape[1:]]), model.img_step(*flat)
    )
