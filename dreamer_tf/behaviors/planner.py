"""Planning: actions from a search in the model, without an actor."""

import tensorflow as tf

MIN_VARIANCE = 1e-6
"""Added to the variance of the elites, so that a belief can always be drawn from."""


class CrossEntropyPlanner:
    """Finds action sequences of high return by the cross-entropy method.

    The belief over an action sequence is a Gaussian for each step and dimension. It starts as
    Normal(0, 1), and every iteration

    1. draws candidates ``a ~ Normal(mean, std)``, clipped to [-1, 1],
    2. evaluates the return of each,
    3. fits the belief to the elites, those with the highest return: their mean, and
       ``std = sqrt(variance + 1e-6)``.

    The plan is the mean of the last belief. Each environment has a belief of its own, and its
    candidates are rolled out from its own state: nothing is mixed between environments.

    One iteration with one candidate as the elite is random shooting, the best of many sequences.

    Reference: arXiv:1811.04551, algorithm 2.
    """

    def __init__(self, evaluate, *, horizon, iterations, candidates, elites):
        """Describes the search.

        Args:
          evaluate: Function of (state, actions, noise) to returns ``[N J]``: a nested structure of
            start states ``[N J, ...]``, actions ``[H, N J, A]`` with the first one taken in the
            start state, and the draws that it needs. The candidates of an environment are
            neighbours.
          horizon: Planned steps (H).
          iterations: How often the belief is fitted.
          candidates: Sequences that are drawn for each environment in an iteration (J).
          elites: Sequences that the belief is fitted to.

        Raises:
          ValueError: If there are more elites than candidates.
        """
        if elites > candidates:
            raise ValueError(f"{elites} elites cannot be chosen among {candidates} candidates")
        self._evaluate = evaluate
        self.horizon = horizon
        self.iterations = iterations
        self.candidates = candidates
        self.elites = elites

    def draws(self, rng, batch_size, action_size):
        """Draws for `plan`, its own.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).
          action_size: Action dimensions (A).

        Returns:
          Standard normal ``[I, N, J, H, A]`` for I iterations.
        """
        shape = [self.iterations, batch_size, self.candidates, self.horizon, action_size]
        return rng.normal(shape)

    def plan(self, state, noise, evaluate_noise):
        """Searches from each environment's state.

        Args:
          state: Nested structure of tensors ``[N, ...]``.
          noise: ``[I, N, J, H, A]`` from `draws`.
          evaluate_noise: Nested structure of draws for each iteration, ``[I, ...]``; a slice of it
            is handed to the function that evaluates.

        Returns:
          Action sequences ``[N, H, A]`` in [-1, 1].
        """
        # An environment's candidates are neighbours in the states, as `_time_first` puts them.
        start = tf.nest.map_structure(lambda x: tf.repeat(x, self.candidates, axis=0), state)

        def iterate(index, mean, std):
            draws = tf.nest.map_structure(lambda x: x[index], evaluate_noise)
            actions = self._draw(mean, std, noise[index])
            returns = self._evaluate(start, _time_first(actions), draws)
            mean, std = self._fit(actions, tf.reshape(returns, [-1, self.candidates]))
            return index + 1, mean, std

        first = noise[0, :, 0]
        _, mean, _ = tf.while_loop(
            lambda index, mean, std: index < self.iterations,
            iterate,
            (tf.constant(0), tf.zeros_like(first), tf.ones_like(first)),
            parallel_iterations=1,
            maximum_iterations=self.iterations,
        )
        return mean

    def _draw(self, mean, std, noise):
        """Candidates ``[N, J, H, A]`` of beliefs ``[N, H, A]``."""
        return tf.clip_by_value(mean[:, None] + std[:, None] * noise, -1.0, 1.0)

    def _fit(self, actions, returns):
        """Mean and standard deviation ``[N, H, A]`` of the elites.

        Args:
          actions: ``[N, J, H, A]``.
          returns: ``[N, J]``.
        """
        _, best = tf.math.top_k(returns, self.elites, sorted=False)
        elites = tf.gather(actions, best, batch_dims=1)
        mean, variance = tf.nn.moments(elites, axes=[1])
        return mean, tf.sqrt(variance + MIN_VARIANCE)


def _time_first(actions):
    """``[N, J, H, A]`` to ``[H, N J, A]``."""
    _, _, horizon, size = actions.shape
    return tf.transpose(tf.reshape(actions, [-1, horizon, size]), [1, 0, 2])
