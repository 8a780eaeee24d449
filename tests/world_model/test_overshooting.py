"""Latent overshooting against the example of its docstring and a slow reference."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import DenseGRU
from dreamer_tf.world_model import RSSM, SSM, GaussianLatent, State, overshooting_kl

BATCH, LENGTH, STOCH, ACTIONS = 3, 6, 4, 2


class Adder:
    """A transition model that adds the action to the state, with standard deviation 1."""

    latent = GaussianLatent(1)

    def img_step(self, state, action, noise):
        stats = {"mean": state.stoch + action, "std": tf.ones_like(action)}
        return State(state.deter, self.latent.sample(stats, noise), stats)


def example(is_first=(False,) * 4, distance=3):
    """The posterior means, and the divergences as a function of them."""
    means = tf.constant([[0.0, 2.0, 3.0, 7.0]])[..., None]

    def divergences(means):
        post = State(tf.zeros([1, 4, 0]), means, {"mean": means, "std": tf.ones_like(means)})
        noise = tf.zeros([distance, 4, 1, 1])
        first = tf.constant([is_first])
        return overshooting_kl(Adder(), post, tf.ones_like(means), first, noise)

    return means, divergences


def test_the_example_of_the_docstring():
    means, divergences = example()
    values, exist = divergences(means)
    np.testing.assert_allclose(values[:, 0], [[0, 0, 0.5, 4.5], [0, 0, 0, 8.0]])
    np.testing.assert_array_equal(exist[:, 0], [[0, 0, 1, 1], [0, 0, 0, 1]])


def test_predictions_are_drawn_towards_posteriors_and_not_the_other_way_round():
    means, divergences = example()
    with tf.GradientTape() as tape:
        tape.watch(means)
        loss = tf.reduce_sum(divergences(means)[0])
    # The errors are 1 and 4 from t = 0, and 3 from t = 1; the targets 2 and 3 start nothing.
    np.testing.assert_allclose(tape.gradient(loss, means)[0, :, 0], [-5, -3, 0, 0])


def test_nothing_is_predicted_into_the_next_episode():
    means, divergences = example(is_first=(True, False, True, False))
    values, exist = divergences(means)
    assert not np.any(exist) and not np.any(values)
    means, divergences = example(is_first=(False, True, False, False))
    values, exist = divergences(means)
    np.testing.assert_array_equal(exist[:, 0], [[0, 0, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_allclose(values[:, 0], [[0, 0, 0, 4.5], [0, 0, 0, 0]])


def reference(model, post, action, is_first, noise):
    """One start, one sequence and one step at a time; the divergence in NumPy."""
    distance = noise.shape[0]
    result = np.zeros((distance - 1, BATCH, LENGTH))
    exist = np.zeros(result.shape, bool)
    for b in range(BATCH):
        for start in range(LENGTH):
            state = tf.nest.map_structure(lambda x, b=b, t=start: x[b : b + 1, t], post)
            for d in range(1, min(distance, LENGTH - 1 - start) + 1):
                t = start + d
                if is_first[b, t]:
                    break
                state = model.img_step(state, action[b : b + 1, t], noise[d - 1, start, b : b + 1])
                if d == 1:
                    continue
                mean, std = (np.float64(post.stats[key][b, t]) for key in ("mean", "std"))
                prior_mean, prior_std = (np.float64(state.stats[k][0]) for k in ("mean", "std"))
                ratio, error = std / prior_std, (mean - prior_mean) / prior_std
                result[d - 2, b, t] = 0.5 * np.sum(ratio**2 + error**2 - 1) - np.sum(np.log(ratio))
                exist[d - 2, b, t] = True
    return result, exist


@pytest.mark.parametrize("distance", [2, 4, LENGTH - 1])
@pytest.mark.parametrize("kind", ["rssm", "ssm"])
def test_slow_reference(kind, distance):
    tf.keras.utils.set_random_seed(2)
    latent = GaussianLatent(STOCH)
    model = RSSM(DenseGRU(5, 7), latent, 7) if kind == "rssm" else SSM(latent, 7)
    model.build(3, ACTIONS)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return tf.constant(rng.normal(size=shape).astype(np.float32))

    action = normal(BATCH, LENGTH, ACTIONS)
    is_first = np.zeros((BATCH, LENGTH), bool)
    is_first[:, 0] = is_first[1, 3] = True
    post, _ = model.observe(
        normal(BATCH, LENGTH, 3),
        action,
        tf.constant(is_first),
        model.initial_state(BATCH),
        normal(LENGTH, BATCH, STOCH),
    )
    noise = normal(distance, LENGTH, BATCH, STOCH)
    values, exist = overshooting_kl(model, post, action, tf.constant(is_first), noise)
    expected, expected_exist = reference(model, post, action, is_first, noise)
    np.testing.assert_array_equal(exist, expected_exist)
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-5)
    assert values[exist].shape[0] > BATCH


@pytest.mark.parametrize("distance", [1, 4])
def test_distances_that_the_sequence_does_not_have_are_refused(distance):
    means, divergences = example(distance=distance)
    with pytest.raises(ValueError, match=f"between 2 and 3 .* got {distance}"):
        divergences(means)
