"""What every transition model does: RSSM, and the purely deterministic and stochastic ones."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import DenseGRU
from dreamer_tf.world_model import RSSM, SSM, DeterministicLatent, GaussianLatent, State, get_feat

BATCH, LENGTH, STOCH, DETER, EMBED, ACTIONS = 3, 5, 4, 6, 7, 2


def make_rssm():
    return RSSM(DenseGRU(DETER, 8, activation="relu"), GaussianLatent(STOCH), 8, activation="relu")


def make_rnn():
    return RSSM(DenseGRU(DETER, 8), DeterministicLatent(STOCH), 8)


def make_ssm():
    return SSM(GaussianLatent(STOCH), 8)


@pytest.fixture(params=[make_rssm, make_rnn, make_ssm], ids=["rssm", "rnn", "ssm"])
def model(request):
    tf.keras.utils.set_random_seed(1)
    model = request.param()
    model.build(EMBED, ACTIONS)
    return model


def normal(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def some_state(model, seed=5):
    """A state that is not zero."""
    zeros = model.initial_state(BATCH)
    return tf.nest.map_structure(lambda x: x + normal(*x.shape, seed=seed), zeros)


def sequences(model):
    rng = tf.random.Generator.from_seed(3, alg="philox")
    is_first = np.zeros((BATCH, LENGTH), bool)
    is_first[0, 2] = is_first[1, 0] = True
    return {
        "embed": normal(BATCH, LENGTH, EMBED),
        "action": normal(BATCH, LENGTH, ACTIONS, seed=1),
        "is_first": tf.constant(is_first),
        "noise": model.latent.draws(rng, [LENGTH, BATCH]),
    }


def assert_states_close(actual, expected):
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), actual, expected
    )


def at(structure, t):
    return tf.nest.map_structure(lambda x: x[:, t], structure)


def test_observe_equals_repeated_single_steps(model):
    data = sequences(model)
    start = some_state(model)
    post, _ = model.observe(data["embed"], data["action"], data["is_first"], start, data["noise"])
    state = start
    for t in range(LENGTH):
        args = at((data["action"], data["embed"], data["is_first"]), t)
        state = model.obs_step(state, *args, data["noise"][t])
        assert_states_close(at(post, t), state)


def test_observed_priors_are_those_of_single_predictions(model):
    data = sequences(model)
    start = some_state(model)
    post, prior = model.observe(
        data["embed"], data["action"], data["is_first"], start, data["noise"]
    )
    state = start
    for t in range(LENGTH):
        keep = tf.cast(~data["is_first"][:, t], tf.float32)[:, None]
        state = tf.nest.map_structure(lambda x, keep=keep: x * keep, state)
        predicted = model.img_step(state, data["action"][:, t] * keep, data["noise"][t])
        assert_states_close(at(prior, t), predicted.stats)
        state = at(post, t)


def test_given_actions_and_a_policy_of_them_predict_the_same(model):
    data = sequences(model)
    start = some_state(model)
    action = tf.transpose(data["action"], [1, 0, 2])
    predicted = model.predict(action, start, data["noise"])
    noise = {"latent": data["noise"], "policy": action}
    assert_states_close(model.imagine(lambda state, given: given, start, noise), predicted)
    state = start
    for t in range(LENGTH):
        state = model.img_step(state, action[t], data["noise"][t])
        assert_states_close(tf.nest.map_structure(lambda x, t=t: x[t], predicted), state)


def test_widths_are_as_announced(model):
    data = sequences(model)
    state = model.initial_state(BATCH)
    post, prior = model.observe(
        data["embed"], data["action"], data["is_first"], state, data["noise"]
    )
    assert get_feat(post).shape == (BATCH, LENGTH, model.feat_size)
    assert model.latent.kl(post.stats, prior).shape == (BATCH, LENGTH)
    tf.nest.map_structure(
        lambda x, y: x.shape.assert_is_compatible_with(y[:, 0].shape), state, post
    )


def test_every_variable_is_trained(model):
    data = sequences(model)
    with tf.GradientTape() as tape:
        state = model.initial_state(BATCH)
        post, prior = model.observe(
            data["embed"], data["action"], data["is_first"], state, data["noise"]
        )
        loss = tf.reduce_sum(get_feat(post) ** 2)
        loss += tf.reduce_sum(model.latent.kl(post.stats, prior))
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [v.value for v in variables])
    for variable, gradient in zip(variables, gradients, strict=True):
        assert gradient is not None and np.abs(gradient).max() > 0, variable.path


def test_the_deterministic_model_has_no_noise():
    tf.keras.utils.set_random_seed(1)
    model = make_rnn()
    model.build(EMBED, ACTIONS)
    state, action = some_state(model), normal(BATCH, ACTIONS)
    rng = tf.random.Generator.from_seed(0)
    first, second = (model.img_step(state, action, model.latent.draws(rng, [BATCH])) for _ in "ab")
    np.testing.assert_array_equal(first.stoch, second.stoch)
    np.testing.assert_array_equal(first.stoch, first.stats["mean"])


def test_the_stochastic_model_passes_on_its_sample_and_nothing_else():
    tf.keras.utils.set_random_seed(1)
    model = make_ssm()
    model.build(EMBED, ACTIONS)
    state, action, noise = some_state(model), normal(BATCH, ACTIONS), normal(BATCH, STOCH)
    assert state.deter.shape == (BATCH, 0) and model.feat_size == STOCH
    np.testing.assert_array_equal(get_feat(state), state.stoch)
    other = State(state.deter, state.stoch, some_state(model, seed=9).stats)
    assert_states_close(model.img_step(other, action, noise), model.img_step(state, action, noise))
    moved = State(state.deter, state.stoch + 1, state.stats)
    changed = (
        model.img_step(moved, action, noise).stoch - model.img_step(state, action, noise).stoch
    )
    assert np.abs(changed).max() > 1e-3
