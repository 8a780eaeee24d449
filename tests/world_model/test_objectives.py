"""Representation objectives against slow references, and where their gradients go."""

import math

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.apps.benchmark.flops import count_flops
from dreamer_tf.nn import GaussianHead, Linear
from dreamer_tf.ops import contrastive_loss, shift_image
from dreamer_tf.world_model import (
    R2,
    Contrastive,
    InfoNCE,
    RewardOnly,
    effective_rank,
    sinkhorn,
)

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


# ------------------------------------------------- what objectives without a decoder consist of


def test_redundancy_reduction_of_equal_units_is_what_the_degrees_of_freedom_leave():
    feat = tf.random.stateless_normal([4, 5, 3], seed=(0, 1))
    projector = Linear(3, use_bias=False)
    projector.build(3)
    projector.out.kernel.assign(2.0 * np.eye(3))
    _, metrics = R2(projector).terms({}, feat, -3.0 * feat + 1.0)
    # Correlations of -(N - 1) / N, with N = 20.
    np.testing.assert_allclose(metrics["r2_invariance"], 3 * (19 / 20 + 1) ** 2, rtol=1e-5)
    _, metrics = R2(projector).terms({}, feat, 5.0 * feat + 1.0)
    np.testing.assert_allclose(metrics["r2_invariance"], 3 / 20**2, rtol=1e-3)
    normed = np.reshape(feat, [-1, 3])
    correlation = np.corrcoef(normed, rowvar=False) * 19 / 20
    others = np.sum(np.square(correlation)) - np.sum(np.square(np.diag(correlation)))
    np.testing.assert_allclose(metrics["r2_redundancy"], others, rtol=1e-4)


def test_units_that_never_change_pass_finite_gradients():
    projector = Linear(3, use_bias=False)
    projector.build(2)
    feat, embed = tf.ones([2, 4, 2]), tf.random.stateless_normal([2, 4, 3], seed=(0, 1))
    with tf.GradientTape() as tape:
        losses, _ = R2(projector).terms({}, feat, embed)
    gradient = tape.gradient(losses["r2"], projector.out.kernel.value)
    assert np.isfinite(losses["r2"]) and np.all(np.isfinite(gradient))


def test_infonce_is_the_contrastive_loss_over_the_whole_batch():
    feat = tf.random.stateless_normal([2, 3, 4], seed=(0, 1))
    embed = tf.random.stateless_normal([2, 3, 5], seed=(0, 2))
    projector = Linear(5, use_bias=False)
    projector.build(4)
    losses, metrics = InfoNCE(projector).terms({}, feat, embed)
    scores = np.reshape(projector(feat), [6, 5]) @ np.reshape(embed, [6, 5]).T
    everyone = [np.ones([size, size], bool) for size in (2, 3)]
    expected = contrastive_loss(tf.constant(scores.reshape(2, 3, 2, 3)), *everyone, (2, 3))
    np.testing.assert_allclose(losses["infonce"], np.ravel(expected), rtol=1e-4, atol=1e-5)
    information = np.log(6) - np.mean(expected)
    np.testing.assert_allclose(metrics["infonce_information"], information, rtol=1e-4)


def test_many_rounds_of_sinkhorn_use_all_prototypes_alike():
    scores = tf.random.stateless_uniform([3, 4, 5], seed=(0, 1), minval=-1.0)
    shares = sinkhorn(scores, 0.5, 100).numpy()
    np.testing.assert_allclose(shares.sum(-1), np.ones([3, 4]), rtol=1e-5)
    np.testing.assert_allclose(shares.sum((0, 1)), np.full(5, 12 / 5), rtol=1e-4)
    assert not np.allclose(shares.std(), 0), "which still tells the steps apart"


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_the_rank_of_features_is_the_number_of_directions_in_which_they_vary(directions):
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=[10, 10]))[0][:directions]
    # As many directions, equally far, as there are; and a mean that is none of them.
    places = np.concatenate([np.eye(directions), -np.eye(directions)])
    feat = (np.tile(places, (8, 1)) @ axes + rng.normal(size=10)).astype(np.float32)
    rank = effective_rank(tf.constant(feat.reshape(8, -1, 10)), rows=1000)
    np.testing.assert_allclose(rank, directions, rtol=1e-3)


def test_the_rank_of_features_needs_a_few_rows_only_and_fails_on_none():
    feat = tf.random.stateless_normal([16, 64, 4], seed=(0, 1))
    np.testing.assert_allclose(effective_rank(feat, rows=100), 4, rtol=0.05)
    np.testing.assert_allclose(effective_rank(tf.ones([4, 5, 3])), 1, rtol=1e-3)
    assert np.isfinite(effective_rank(tf.fill([4, 5, 3], np.float32(np.nan))))
    with tf.GradientTape() as tape:
        tape.watch(feat)
        rank = effective_rank(feat)
    assert tape.gradient(rank, feat) is None


def test_all_of_it_can_be_compiled():
    projector = Linear(5, use_bias=False)
    projector.build(4)

    def look(feat, embed, image, shift):
        losses, metrics = R2(projector).terms({}, feat, embed)
        contrasted, _ = InfoNCE(projector).terms({}, feat, embed)
        return [
            *(losses | contrasted | metrics).values(),
            effective_rank(feat),
            sinkhorn(embed, 0.05, 3),
            shift_image(image, shift, 1),
        ]

    inputs = (
        tf.random.stateless_normal([2, 8, 4], seed=(0, 1)),
        tf.random.stateless_normal([2, 8, 5], seed=(0, 2)),
        tf.cast(tf.random.stateless_uniform([2, 8, 6, 7, 3], (0, 3), maxval=256), tf.uint8),
        tf.constant([[0, 2], [1, 0]]),
    )
    compiled = tf.function(look, jit_compile=True)(*inputs)
    for ours, expected in zip(compiled, look(*inputs), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)
