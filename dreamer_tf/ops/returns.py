"""Returns of imagined trajectories. Time comes first here: ``[H, N]``."""

import tensorflow as tf


def lambda_return(reward, value, discount, bootstrap, lambda_):
    """λ-returns by the backward recursion.

    With V_H = R_H = bootstrap::

        R_t = r_t + γ_t · ((1 - λ_t) · V_{t+1} + λ_t · R_{t+1})

        t          0      1      ...   H-1
        reward     r_0    r_1          r_{H-1}
        discount   γ_0    γ_1          γ_{H-1}       of the step t -> t+1
        value      (V_0)  V_1          V_{H-1}       V_0 is not used
        bootstrap                               V_H

    This equals the papers' explicit mixture of k-step returns,
    ``(1-λ) Σ_{n=1}^{H'-1} λ^{n-1} V_N^n + λ^{H'-1} V_N^{H'}`` with H' steps left.

    Args:
      reward: ``[H, N]`` rewards.
      value: ``[H, N]`` values of the same states.
      discount: ``[H, N]`` per-step discounts γ_t, or a scalar.
      bootstrap: ``[N]`` value of the state after the last.
      lambda_: Mixture of the k-step returns, from 0 (one step) to 1 (all H steps): a scalar, or
        ``[H, N]`` λ_t for each step t -> t+1 (0: the trajectory is cut there).

    Returns:
      ``[H, N]`` returns.

    Reference: arXiv:1912.01603, equations 4 to 6; Sutton & Barto, chapter 12.
    """
    next_value = tf.concat([value[1:], bootstrap[None]], axis=0)
    decay = discount * lambda_ * tf.ones_like(reward)
    one_step = reward + (discount - discount * lambda_) * next_value
    returns, carried = [], bootstrap
    steps = zip(tf.unstack(one_step), tf.unstack(decay), strict=True)
    for reward_and_value, kept in reversed(list(steps)):
        carried = reward_and_value + kept * carried
        returns.append(carried)
    return tf.stack(returns[::-1], axis=0)


def reward_sum(reward, discount):
    """What is collected up to the horizon, nothing being known of what lies behind it.

    With R_H = 0::

        R_t = r_t + γ_t · R_{t+1}

        t          0                    1              ...   H-1
        reward     r_0                  r_1                  r_{H-1}
        discount   γ_0                  γ_1                  (γ_{H-1})      of the step t -> t+1
        γ = 1      r_0 + … + r_{H-1}    r_1 + … + r_{H-1}    r_{H-1}

    Args:
      reward: ``[H, N]`` rewards.
      discount: ``[H, N]`` per-step discounts; the last is not used.

    Returns:
      ``[H, N]`` returns.

    Reference: arXiv:1912.01603, equation 4.
    """
    nothing = tf.zeros_like(reward)
    return lambda_return(reward, nothing, discount, nothing[0], 1.0)


def cumulative_discount(discount):
    """Weights of imagined states: how much of the future is left when each is reached.

    ``w_0 = 1, w_t = γ_0 · … · γ_{t-1}``, without gradient.

    Args:
      discount: ``[H, N]`` per-step discounts.

    Returns:
      ``[H, N]`` weights; the last discount is not used.
    """
    first = tf.ones_like(discount[:1])
    return tf.stop_gradient(tf.math.cumprod(tf.concat([first, discount[:-1]], axis=0), axis=0))
