"""Noise-contrastive loss over pairs."""

import tensorflow as tf


def cyclic_window(size, width):
    """Which places lie in each place's window, when the last is followed by the first.

    The window of place i holds the ``width`` places i - (width - 1) // 2 … i + width // 2, place i
    among them::

        size 5, width 2    1 1 0 0 0      width 3    1 1 0 0 1
                           0 1 1 0 0                 1 1 1 0 0
                           0 0 1 1 0                 0 1 1 1 0
                           0 0 0 1 1                 0 0 1 1 1
                           1 0 0 0 1                 1 0 0 1 1

    Args:
      size: Number of places.
      width: Width of the window, at most ``size``.

    Returns:
      ``[size, size]`` bool: row i is true where the window of i is.

    Raises:
      ValueError: If the window is empty or wider than there are places.
    """
    if not 1 <= width <= size:
        raise ValueError(f"a window over {size} places is 1 to {size} wide, got {width}")
    place = tf.range(size)
    distance = tf.math.floormod(place[None, :] - place[:, None] + (width - 1) // 2, size)
    return distance < width


def contrastive_loss(log_prob, near_sequences, near_steps, axes):
    """Cross entropy of picking each place's true partner among its candidates.

    ::

        loss[b, t] = ln Σ_(b', t') exp log_prob[b, t, b', t'] - log_prob[b, t, b, t]

    with the sum over the candidates (b', t'), sequence b' in the window of b and step t' in the
    window of t. The true partner is one of them, so the loss is never negative; where they cannot
    be told apart it is ln(number of candidates). With independent candidates, ln(number) - loss is
    in expectation a lower bound of the information that partners hold about each other. It can show
    no more than ln(number).

    Args:
      log_prob: ``[B, T, B, T]`` scores of all pairs.
      near_sequences: ``[B, B]`` bool windows.
      near_steps: ``[T, T]`` bool windows.
      axes: Over which side of the pairs to sum: (2, 3), or (0, 1) for the sum over the first side
        with the second in place.

    Returns:
      ``[B, T]`` losses in nats.

    Reference: arXiv:1807.03748, equations 4 and 5.
    """
    batch_size, length = log_prob.shape[:2]
    places = batch_size * length
    candidates = near_sequences[:, None, :, None] & near_steps[None, :, None, :]
    masked = tf.where(candidates, log_prob, -float("inf"))
    true = tf.linalg.diag_part(tf.reshape(log_prob, [places, places]))
    return tf.reduce_logsumexp(masked, axes) - tf.reshape(true, [batch_size, length])
