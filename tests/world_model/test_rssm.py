"""The RSSM against the V1 recordings, and loops against single steps."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import DenseGRU
from dreamer_tf.world_model import RSSM, SSM, GaussianLatent, State, get_feat
from tests.golden_data import Golden, assert_close, load_weights, v1_weights


@pytest.fixture(scope="module")
def golden():
    return Golden("v1_rssm")


@pytest.fixture(scope="module")
def rssm(golden):
    settings = golden.settings
    rssm = RSSM(
        DenseGRU(settings["deter"], settings["hidden"], activation=settings["activation"]),
        GaussianLatent(settings["stoch"], settings["min_std"]),
        settings["hidden"],
        activation=settings["activation"],
    )
    rssm.build(settings["embed"], settings["action"])
    load_weights(v1_weights(rssm=rssm), golden.group("param"))
    return rssm


def start_state(golden):
    stoch = tf.constant(golden["start/stoch"])
    stats = {"mean": tf.zeros_like(stoch), "std": tf.zeros_like(stoch)}
    return State(tf.constant(golden["start/deter"]), stoch, stats)


def observe(rssm, golden, noise, state=None):
    embed, action = tf.constant(golden["in/embed"]), tf.constant(golden["in/action"])
    is_first = tf.zeros(embed.shape[:2], bool)
    state = state or rssm.initial_state(embed.shape[0])
    return rssm.observe(embed, action, is_first, state, noise)


def assert_state(state, recorded):
    assert_close(state.deter, recorded["deter"], name="deter")
    assert_close(state.stoch, recorded["stoch"], name="stoch")
    assert_close(state.stats["mean"], recorded["mean"], name="mean")
    assert_close(state.stats["std"], recorded["std"], name="std")


def time_first(array):
    return tf.constant(np.swapaxes(array, 0, 1))


def test_recorded_gru(rssm, golden):
    output = rssm.cell.gru(golden["gru/in/x"], golden["gru/in/h"])
    assert_close(output, golden["gru/out/h"])


def test_recorded_observe(rssm, golden):
    post, prior = observe(rssm, golden, time_first(golden["observe/noise_post"]))
    assert_state(post, golden.group("observe/post"))
    assert_close(prior["mean"], golden["observe/prior/mean"])
    assert_close(prior["std"], golden["observe/prior/std"])
    assert_close(get_feat(post), golden["observe/feat"])
    assert_close(rssm.latent.kl(post.stats, prior), golden["kl/value"])
    assert_close(rssm.latent.entropy(post.stats), golden["entropy/post"])
    assert_close(rssm.latent.entropy(prior), golden["entropy/prior"])


def test_recorded_prior_sample(rssm, golden):
    _, prior = observe(rssm, golden, time_first(golden["observe/noise_post"]))
    sample = rssm.latent.sample(prior, golden["observe/noise_prior"])
    assert_close(sample, golden["observe/prior/stoch"])


def test_recorded_observe_from_a_state(rssm, golden):
    noise = time_first(golden["observe_from/noise_post"])
    post, _ = observe(rssm, golden, noise, start_state(golden))
    assert_state(post, golden.group("observe_from/post"))


def test_recorded_observe_with_shared_noise(rssm, golden):
    shared = golden["observe_shared/noise_post"][:, None]
    batch = golden["in/embed"].shape[0]
    post, _ = observe(rssm, golden, tf.constant(np.repeat(shared, batch, axis=1)))
    assert_state(post, golden.group("observe_shared/post"))


def test_recorded_imagine(rssm, golden):
    noise = {
        "latent": time_first(golden["imagine/noise"]),
        "policy": time_first(golden["in/action"]),
    }
    prior = rssm.imagine(lambda state, action: action, start_state(golden), noise)
    along = rssm.predict(noise["policy"], start_state(golden), noise["latent"])
    for states in (prior, along):
        batch_first = tf.nest.map_structure(lambda x: tf.transpose(x, [1, 0, 2]), states)
        assert_state(batch_first, golden.group("imagine/prior"))


def test_observe_equals_repeated_single_steps(rssm, golden):
    embed, action = tf.constant(golden["in/embed"]), tf.constant(golden["in/action"])
    is_first = np.zeros(embed.shape[:2], bool)
    is_first[0, 2] = is_first[1, 0] = True
    noise = time_first(golden["observe/noise_post"])
    post, _ = rssm.observe(embed, action, tf.constant(is_first), start_state(golden), noise)
    state = start_state(golden)
    for t in range(embed.shape[1]):
        state = rssm.obs_step(state, action[:, t], embed[:, t], is_first[:, t], noise[t])
        expected = tf.nest.map_structure(lambda x, t=t: x[:, t], post)
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), state, expected
        )


def test_first_step_forgets_state_and_action(rssm, golden):
    embed = tf.constant(golden["in/embed"][:, 0])
    noise = tf.constant(golden["observe/noise_post"][:, 0])
    action = tf.constant(golden["in/action"][:, 0])
    first = tf.ones(embed.shape[0], bool)
    reset = rssm.obs_step(start_state(golden), action, embed, first, noise)
    initial = rssm.initial_state(embed.shape[0])
    fresh = rssm.obs_step(initial, tf.zeros_like(action), embed, ~first, noise)
    tf.nest.map_structure(np.testing.assert_array_equal, reset, fresh)


def test_states_of_a_batch_do_not_mix(rssm, golden):
    noise = time_first(golden["observe/noise_post"])
    post, _ = observe(rssm, golden, noise)
    embed, action = golden["in/embed"].copy(), golden["in/action"]
    embed[0] += 1
    is_first = tf.zeros(embed.shape[:2], bool)
    moved, _ = rssm.observe(embed, action, is_first, rssm.initial_state(len(embed)), noise)
    np.testing.assert_allclose(moved.deter[1:], post.deter[1:], atol=1e-6)
    assert np.abs(moved.stoch[0] - post.stoch[0]).max() > 1e-3


@pytest.mark.parametrize("name", ["rssm", "ssm"])
def test_what_is_not_finite_does_not_pass_an_episodes_beginning(name):
    latent = GaussianLatent(3, 0.1)
    model = RSSM(DenseGRU(5, 4), latent, 4) if name == "rssm" else SSM(latent, 4)
    model.build(6, 2)
    embed, action = tf.ones([2, 4, 6]), tf.ones([2, 4, 2])
    is_first = tf.constant([[True, False, True, False]] * 2)
    noise = tf.zeros([4, 2, 3])
    bad = tf.nest.map_structure(lambda x: x + np.nan, model.initial_state(2))
    # The action that led to an episode's first row is none; it does not count either.
    broken = tf.where(is_first[..., None], np.nan, action)
    post, prior = model.observe(embed, broken, is_first, bad, noise)
    expected = model.observe(embed, action, is_first, model.initial_state(2), noise)
    assert all(np.isfinite(x).all() for x in tf.nest.flatten((post, prior)))
    for got, wanted in zip(*map(tf.nest.flatten, ((post, prior), expected)), strict=True):
        np.testing.assert_array_equal(got, wanted)
    step = model.obs_step(bad, broken[:, 0], embed[:, 0], is_first[:, 0], noise[0])
    assert all(np.isfinite(x).all() for x in tf.nest.flatten(step))
