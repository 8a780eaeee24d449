"""Representation objectives against slow references, and where their gradients go."""

import math

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.apps.benchmark.flops import count_flops
from dreamer_tf.nn import GaussianHead
from dreamer_tf.world_model import Contrastive, RewardOnly

BATCH, LENGTH, EMBED, FEAT = 5, 6, 4, 3
# negatives as the spec names them -> (sequences, steps), and the shifts they stand for
NEGATIVES = {"window": (4, 3), "batch": (None, 1), "time": (1, None)}


def make_objective(negatives="window", candidates="states"):
    tf.keras.utils.set_random_seed(0)
    head = GaussianHead(1, 8, FEAT, name="state_model")
    head.build(EMBED)
    sequences, steps = NEGATIVES[negatives]
    return Contrastive(head, sequences=sequences, steps=steps, candidates=candidates)


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    feat = rng.normal(size=[BATCH, LENGTH, FEAT]).astype(np.float32)
    embed = rng.normal(size=[BATCH, LENGTH, EMBED]).astype(np.float32)
    return tf.constant(feat), tf.constant(embed)


def log_density(value, mean, std):
    return np.sum(-0.5 * ((value - mean) / std) ** 2 - np.log(std * np.sqrt(2 * np.pi)), -1)


def shifts(negatives):
    """(sequences, steps) to roll by, for each candidate."""
    sequences, steps = NEGATIVES[negatives]
    sequences, steps = sequences or BATCH, steps or LENGTH
    return [(b - sequences // 2, t - steps // 2) for b in range(sequences) for t in range(steps)]


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_states_to_pick_from_equal_rolled_features(negatives):
    """The author's way: roll the features by every shift and score each against q(· | o_t)."""
    objective = make_objective(negatives)
    feat, embed = inputs()
    stats = {
        key: value.numpy().astype(float)
        for key, value in objective.state_model.stats(embed).items()
    }
    scores = [
        log_density(np.roll(feat.numpy().astype(float), shift, axis=(0, 1)), **stats)
        for shift in shifts(negatives)
    ]
    expected = np.log(np.sum(np.exp(scores), 0)) - log_density(feat.numpy(), **stats)
    losses, metrics = objective.terms({}, feat, embed)
    np.testing.assert_allclose(losses["contrastive"], expected, rtol=1e-4, atol=1e-4)
    information = math.log(len(scores)) - expected.mean()
    np.testing.assert_allclose(metrics["contrastive_information"], information, atol=1e-4)


@pytest.mark.parametrize("negatives", NEGATIVES)
def test_observations_to_pick_from_equal_rolled_state_models(negatives):
    """The paper's way: one state under the state models of other observations."""
    objective = make_objective(negatives, "observations")
    feat, embed = inputs()
    stats = {
        key: value.numpy().astype(float)
        for key, value in objective.state_model.stats(embed).items()
    }
    states = feat.numpy().astype(float)
    scores = []
    for shift in shifts(negatives):
        # Mirrored, as the observation moves and the state stays.
        back = [-amount for amount in shift]
        rolled = {key: np.roll(value, back, axis=(0, 1)) for key, value in stats.items()}
        scores.append(log_density(states, **rolled))
    expected = np.log(np.sum(np.exp(scores), 0)) - log_density(states, **stats)
    losses, _ = objective.terms({}, feat, embed)
    np.testing.assert_allclose(losses["contrastive"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("candidates", ["states", "observations"])
@pytest.mark.parametrize("negatives", NEGATIVES)
def test_the_information_is_bounded_by_the_number_of_candidates(negatives, candidates):
    objective = make_objective(negatives, candidates)
    feat, embed = inputs()
    number = len(shifts(negatives))
    # Nothing to tell apart: no information, and the loss is the logarithm of the number.
    losses, metrics = objective.terms({}, tf.ones_like(feat), tf.ones_like(embed))
    np.testing.assert_allclose(losses["contrastive"], math.log(number), rtol=1e-4)
    np.testing.assert_allclose(metrics["contrastive_information"], 0.0, atol=1e-4)
    # States that the state model predicts and that lie far apart: all there is to know.
    places = tf.reshape(tf.range(BATCH * LENGTH, dtype=tf.float32), [BATCH, LENGTH, 1])
    objective.state_model.hidden[0].kernel.assign(tf.ones([EMBED, 8]))
    embed = 100.0 * places * tf.ones(EMBED)
    feat = objective.state_model.stats(embed)["mean"]
    objective.state_model.out.bias.assign(tf.concat([tf.zeros(FEAT), tf.fill([FEAT], 1.0)], 0))
    losses, metrics = objective.terms({}, feat, embed)
    assert np.all(losses["contrastive"].numpy() >= 0)
    np.testing.assert_allclose(metrics["contrastive_information"], math.log(number), rtol=1e-4)


def test_a_window_larger_than_the_batch_is_the_batch():
    feat, embed = inputs()
    head = make_objective().state_model
    large = Contrastive(head, sequences=10, steps=30).terms({}, feat, embed)
    whole = Contrastive(head, sequences=None, steps=None).terms({}, feat, embed)
    np.testing.assert_array_equal(large[0]["contrastive"], whole[0]["contrastive"])
    np.testing.assert_array_equal(
        *[result[1]["contrastive_information"] for result in (large, whole)]
    )


def test_unknown_candidates_are_refused():
    with pytest.raises(ValueError, match="states or observations, got 'images'"):
        Contrastive(make_objective().state_model, candidates="images")


def test_contrastive_learning_tells_places_apart():
    """Gradients reach the state model: it learns to name the states of given embeddings."""
    objective = make_objective()
    feat, embed = inputs()
    feat = embed[..., :FEAT]
    optimizer = tf.keras.optimizers.Adam(0.01)
    history = []
    for _ in range(100):
        with tf.GradientTape() as tape:
            losses, metrics = objective.terms({}, feat, embed)
            loss = tf.reduce_mean(losses["contrastive"])
        variables = objective.state_model.trainable_variables
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        history.append(float(metrics["contrastive_information"]))
    assert history[-1] > 0.8 * math.log(len(shifts("window"))) > history[0] + 0.5


@pytest.mark.parametrize("candidates", ["states", "observations"])
def test_gradients_reach_states_and_embeddings(candidates):
    objective = make_objective(candidates=candidates)
    feat, embed = inputs()
    with tf.GradientTape() as tape:
        tape.watch([feat, embed])
        losses, _ = objective.terms({}, feat, embed)
        one = losses["contrastive"][0, 0]
    to_feat, to_embed = tape.gradient(one, [feat, embed])
    reached = [np.any(gradient.numpy() != 0, -1) for gradient in (to_feat, to_embed)]
    counts = [mask.sum() for mask in reached]
    number = len(shifts("window"))
    assert counts == ([number, 1] if candidates == "states" else [1, number])


def test_the_products_are_a_small_part_of_an_update():
    """At the paper's sizes: below a twentieth of the 900 GFLOP of an update."""
    head = GaussianHead(3, 300, 230)
    head.build(1024)
    objective = Contrastive(head)

    @tf.function(autograph=False)
    def update(feat, embed):
        with tf.GradientTape() as tape:
            tape.watch([feat, embed])
            losses, _ = objective.terms({}, feat, embed)
            loss = tf.reduce_mean(losses["contrastive"])
        variables = [variable.value for variable in head.trainable_variables]
        return tape.gradient(loss, [feat, embed, *variables])

    shapes = [tf.TensorSpec([50, 50, size], tf.float32) for size in (230, 1024)]
    assert count_flops(update.get_concrete_function(*shapes)) < 45e9


def test_reward_only_has_no_term_and_no_network():
    feat, embed = inputs()
    assert RewardOnly().terms({}, feat, embed) == ({}, {})
    assert RewardOnly().networks == {}
