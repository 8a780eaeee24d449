"""Planning: actions from a search in the model, without an actor or with its help."""

from typing import NamedTuple

import tensorflow as tf

from dreamer_tf.ops import flatten_time, leading_size, scan, swap_time
from dreamer_tf.world_model import get_feat

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


class Search(NamedTuple):
    """What a search of `GuidedPlanner` found.

    Attributes:
      mean: ``[N, H, A]``, the plan.
      std: ``[N, H, A]``.
      elites: ``[N, E, H, A]``, the best candidates of the last iteration.
      returns: ``[N, E]``, theirs, the best first.
      weights: ``[N, E]``, how much each counts in the plan.
    """

    mean: tf.Tensor
    std: tf.Tensor
    elites: tf.Tensor
    returns: tf.Tensor
    weights: tf.Tensor


class GuidedPlanner:
    """Plans with an actor's proposals and a critic's values: model predictive path integrals.

    A behaviour, see `behaviors.acting`. ::

        belief  mean: what is left of the last plan, zeros behind it; std: max_std
        repeat  candidates = trajectories of the actor, and draws of the belief, cut to [-1, 1]
                return of each = rewards along it and the critic's value of where it leads,
                                 with one draw of the latent states for all of them
                elites = the best;  weight_e = softmax_e(temperature · return_e)
                belief = weighted mean of the elites and, in its bounds, weighted deviation
        act     eval: first mean;  train: first of an elite drawn by its weight, + std · noise

    The actor's trajectories are made once and compete in every iteration; the first of them
    follows the actor's mode, the others its samples. So no plan begins with less, in the model's
    eyes, than what the actor would do. Where all candidates are the actor's, nothing is drawn from
    a belief; with the mode alone, the planner acts as the actor in evaluation.

    The model is stochastic. Candidates are compared under the same draws of its latent states
    (common random numbers), other ones in each iteration: with draws of their own, the best of
    hundreds is the luckiest, and the plan is worse than the actor (docs/results/README.md).

    The cross-entropy method is the case of no trajectory of the actor and temperature 0.

    Reference: arXiv:2203.04955, section 3.1 and algorithm 1, as used by arXiv:2310.16828.
    """

    kind = "planner"
    choices = ("mode", "sample")

    def __init__(
        self,
        rssm,
        actor,
        evaluate,
        actions,
        *,
        horizon,
        iterations,
        candidates,
        elites,
        actor_trajectories,
        temperature,
        min_std,
        max_std,
    ):
        """Describes the search.

        Args:
          rssm: `RSSM` to imagine with.
          actor: Actor such as `TanhNormalActor`.
          evaluate: Function of features ``[H+1, M, F]``, of the start states first, to returns
            ``[M]``.
          actions: `ActionEncoder` of continuous actions.
          horizon: Planned steps (H).
          iterations: How often the belief is fitted (I).
          candidates: Sequences that compete in an iteration, for each environment (J).
          elites: How many of them the belief is fitted to (E).
          actor_trajectories: How many of the candidates are the actor's (P).
          temperature: What returns are multiplied by in the elites' weights; 0: all count alike.
          min_std: Smallest deviation of the belief.
          max_std: Largest, and the first.

        Raises:
          ValueError: If actions are discrete, or the counts do not fit.
        """
        discrete = sorted({part.key for part in actions.parts if part.is_discrete})
        if discrete:
            raise ValueError(
                f"the planner searches continuous actions; {', '.join(discrete)} is discrete: "
                "what acts must be the actor (policy actor)"
            )
        for name, count in (("elites", elites), ("actor_trajectories", actor_trajectories)):
            if count > candidates:
                raise ValueError(f"planner.{name} {count} is more than the {candidates} candidates")
        if min_std > max_std:
            raise ValueError(f"planner.min_std {min_std} is more than max_std {max_std}")
        self._rssm = rssm
        self._actor = actor
        self._evaluate = evaluate
        self._size = actions.size
        self.horizon = horizon
        self.iterations = iterations
        self.elites = elites
        self.led = actor_trajectories
        self.drawn = candidates - actor_trajectories
        self.temperature = temperature
        self.bounds = (min_std, max_std)

    def initial_plan(self, batch_size):
        """What is left of a plan before there was one: zeros ``[N, H, A]``."""
        return tf.zeros([batch_size, self.horizon, self._size])

    def draws(self, rng, batch_size, mode):
        """Draws for `action`.

        Args:
          rng: A ``tf.random.Generator``.
          batch_size: Environments (N).
          mode: ``train`` or ``eval``.

        Returns:
          Dict of ``led``: draws for the actor's trajectories; ``plan`` ``[I, N, J-P, H, A]`` for
          those of the belief; ``rollout`` ``[I, H, N, S]``, with which all are compared; and in
          training ``elite`` ``[N]``, uniform, and ``action`` ``[N, A]``, standard normal.
        """
        latent = self._rssm.latent
        noise = {"rollout": latent.draws(rng, [self.iterations, self.horizon, batch_size])}
        if self.led:
            noise["led"] = {
                "latent": latent.draws(rng, [self.horizon, batch_size * self.led]),
                "mode": self._actor.mode_draws(rng, [batch_size]),
            }
        if self.led > 1:
            others = batch_size * (self.led - 1)
            noise["led"]["sample"] = self._actor.draws(rng, [self.horizon, others])
        if self.drawn:
            shape = [self.iterations, batch_size, self.drawn, self.horizon, self._size]
            noise["plan"] = rng.normal(shape)
        if mode == "train":
            noise["elite"] = rng.uniform([batch_size])
            noise["action"] = rng.normal([batch_size, self._size])
        return noise

    def action(self, state, noise, mode, plan=()):
        """The first action of a plan, and what is left of it.

        Args:
          state: `State` ``[N, ...]``.
          noise: From `draws`.
          mode: ``train``: sampled among the elites and disturbed; ``eval``: the plan's.
          plan: ``[N, H, A]``, what is left of the plan before; nothing: there was none.

        Returns:
          Actions ``[N, A]`` in [-1, 1], and ``[N, H, A]`` for the next call.
        """
        if isinstance(plan, tuple):
            plan = self.initial_plan(leading_size(state.deter))
        found = self.search(state, noise, plan)
        action = found.mean[:, 0]
        if mode == "train":
            # The first elite up to which the weights add up to more than the draw.
            passed = tf.cumsum(found.weights, axis=1) <= noise["elite"][:, None]
            chosen = tf.reduce_sum(tf.cast(passed, tf.int32), axis=1)
            chosen = tf.minimum(chosen, self.elites - 1)  # Where rounding adds up to less than 1.
            action = tf.gather(found.elites[:, :, 0], chosen, batch_dims=1)
            action = tf.clip_by_value(action + found.std[:, 0] * noise["action"], -1.0, 1.0)
        return action, tf.concat([found.mean[:, 1:], tf.zeros_like(found.mean[:, :1])], axis=1)

    def search(self, state, noise, plan):
        """Searches from each environment's state.

        Args:
          state: `State` ``[N, ...]``.
          noise: From `draws`.
          plan: ``[N, H, A]`` mean of the first belief.

        Returns:
          `Search`.
        """
        led = self._led(state, noise["led"]) if self.led else None
        if not self.drawn:
            return self._fit(state, led, noise["rollout"], 0)
        count = leading_size(plan)
        nothing = tf.zeros([count, self.elites])
        elites = tf.zeros([count, self.elites, self.horizon, self._size])
        first = Search(plan, self.bounds[1] * tf.ones_like(plan), elites, nothing, nothing)

        def iterate(index, before):
            actions = before.mean[:, None] + before.std[:, None] * noise["plan"][index]
            actions = tf.clip_by_value(actions, -1.0, 1.0)
            if self.led:
                actions = tf.concat([led, actions], axis=1)
            return index + 1, self._fit(state, actions, noise["rollout"], index)

        _, found = tf.while_loop(
            lambda index, _: index < self.iterations,
            iterate,
            (tf.constant(0), first),
            parallel_iterations=1,
            maximum_iterations=self.iterations,
        )
        return found

    def _led(self, state, noise):
        """Actions ``[N, P, H, A]`` of the actor's trajectories."""
        count = self.led

        def step(before, draws):
            state = before[0]
            feat = tf.reshape(get_feat(state), [-1, count, self._rssm.feat_size])
            action = self._actor.mode(feat[:, 0], noise["mode"])[:, None]
            if count > 1:
                others = self._actor.dist(flatten_time(feat[:, 1:])).sample(draws["sample"])
                others = tf.reshape(others, [-1, count - 1, self._size])
                action = tf.concat([action, others], axis=1)
            # As the environment would, which the model has seen nothing beyond.
            action = tf.clip_by_value(flatten_time(action), -1.0, 1.0)
            return self._rssm.img_step(state, action, draws["latent"]), action

        start = _repeat(state, count)
        draws = {key: noise[key] for key in noise.keys() - {"mode"}}
        _, actions = scan(step, (start,), draws, self.horizon)
        return tf.reshape(swap_time(actions), [-1, count, self.horizon, self._size])

    def _fit(self, state, actions, rollouts, index):
        """`Search` of candidates ``[N, J, H, A]``, compared with the draws of an iteration."""
        count = actions.shape[1]
        start = _repeat(state, count)
        draws = tf.nest.map_structure(lambda x: tf.repeat(x[index], count, axis=1), rollouts)
        states = self._rssm.predict(_time_first(actions), start, draws)
        feat = tf.concat([get_feat(start)[None], get_feat(states)], axis=0)
        returns = tf.reshape(self._evaluate(feat), [-1, count])
        best, which = tf.math.top_k(returns, self.elites)
        elites = tf.gather(actions, which, batch_dims=1)
        weights = tf.nn.softmax(self.temperature * best, axis=1)
        share = weights[:, :, None, None]
        mean = tf.reduce_sum(share * elites, axis=1)
        variance = tf.reduce_sum(share * tf.square(elites - mean[:, None]), axis=1)
        std = tf.clip_by_value(tf.sqrt(variance), *self.bounds)
        return Search(mean, std, elites, best, weights)


def _repeat(state, count):
    """Each environment's state ``count`` times, as neighbours."""
    return tf.nest.map_structure(lambda x: tf.repeat(x, count, axis=0), state)


def _time_first(actions):
    """``[N, J, H, A]`` to ``[H, N J, A]``."""
    _, _, horizon, size = actions.shape
    return tf.transpose(tf.reshape(actions, [-1, horizon, size]), [1, 0, 2])
