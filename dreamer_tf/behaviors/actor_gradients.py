"""Ways of telling an actor which actions were good.

Each is called with the policy at imagined states, the actions drawn from it, and what followed, and
returns the objective that the actor climbs::

    state       s_0    s_1    ...   s_{H-2}      where the policy was asked
    action      a_0    a_1          a_{H-2}      what it chose
    target      t_1    t_2          t_{H-1}      return of the states that the actions led to
    value       v_0    v_1          v_{H-2}      baseline: what was expected before

Reference: arXiv:2010.02193, section 2, equation 6.
"""

import tensorflow as tf


class DynamicsGradient:
    """Straight through the world model: the return itself, as a function of the actions.

    Low variance, biased for discrete actions, whose samples have no true derivative.
    """

    def __call__(self, policy, action, target, value, grad_steps):
        """The objective.

        Args:
          policy: Distribution with batch shape ``[H-1, N]``; not used.
          action: ``[H-1, N, A]``; not used, the gradient reaches it through ``target``.
          target: ``[H-1, N]``.
          value: ``[H-1, N]``; not used.
          grad_steps: Updates so far; not used.

        Returns:
          ``[H-1, N]`` objective, and dict of scalar metrics.
        """
        del policy, action, value, grad_steps
        return target, {}


class ReinforceGradient:
    """REINFORCE with a baseline: ln π(a) · sg(t - v). No gradient enters the world model."""

    def __call__(self, policy, action, target, value, grad_steps):
        """The objective, see `DynamicsGradient.__call__`."""
        del grad_steps
        log_prob = policy.log_prob(tf.stop_gradient(action))
        return log_prob * tf.stop_gradient(target - value), {}


class MixedGradient:
    """``ρ · t + (1 - ρ) · ln π(a) · sg(t - v)`` with a mixture ρ that may change in training.

    As in the author's code, the log-density of a continuous action also moves the action.
    """

    def __init__(self, mix):
        """Describes the mixture.

        Args:
          mix: `Schedule` of ρ, the share of the gradient through the dynamics.
        """
        self.mix = mix

    def __call__(self, policy, action, target, value, grad_steps):
        """The objective, see `DynamicsGradient.__call__`."""
        mix = self.mix(grad_steps)
        reinforce = policy.log_prob(action) * tf.stop_gradient(target - value)
        return mix * target + (1.0 - mix) * reinforce, {"actor_gradient_mix": mix}
