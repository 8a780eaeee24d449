"""The RSSM, its latents and the KL terms against the DreamerV2 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import LayerNormGRU
from dreamer_tf.world_model import RSSM, CategoricalLatent, GaussianLatent, State, get_feat
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import arrange, load, rssm_places

RECORDINGS = ["v2_rssm_discrete", "v2_rssm_discrete_layernorm", "v2_rssm_gauss"]


class Recording:
    """A recording and the model that it describes."""

    def __init__(self, name, **latent_options):
        self.golden = golden = Golden(name)
        self.settings = s = golden.settings
        self.is_discrete = bool(s["classes"])
        self.draw = "index" if self.is_discrete else "noise"
        if self.is_discrete:
            latent = CategoricalLatent(s["stoch"], s["classes"])
        else:
            options = {"std_activation": "sigmoid2"} | latent_options
            latent = GaussianLatent(s["stoch"], s["min_std"], **options)
        block = {"activation": s["act"], "norm": s["norm"]}
        cell = LayerNormGRU(s["deter"], s["hidden"], **block)
        self.rssm = RSSM(cell, latent, s["hidden"], **block)
        self.rssm.build(s["embed"], s["action"])
        self.places = rssm_places(self.rssm)
        load(self.places, golden.group("param"))

    def start(self):
        stoch = self.flat(self.golden["start/stoch"])
        stats = self.rssm.latent.initial_stats(len(stoch))
        return State(tf.constant(self.golden["start/deter"]), tf.constant(stoch), stats)

    def flat(self, stoch):
        return stoch.reshape(*stoch.shape[:-2], -1) if self.is_discrete else stoch

    def draws(self, name):
        return tf.constant(np.swapaxes(self.golden[f"{name}_{self.draw}"], 0, 1))

    def observe(self, name, state=None):
        embed = tf.constant(self.golden["in/embed"])
        state = state or self.rssm.initial_state(len(embed))
        return self.rssm.observe(
            embed,
            tf.constant(self.golden["in/action"]),
            tf.constant(self.golden["in/is_first"]),
            state,
            self.draws(f"{name}/post"),
        )

    def assert_state(self, state, recorded):
        assert_close(state.deter, recorded["deter"], name="deter")
        assert_close(state.stoch, self.flat(recorded["stoch"]), name="stoch")
        for key, value in state.stats.items():
            assert_close(value, recorded[key], name=key)


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    return Recording(request.param)


@pytest.mark.parametrize("name", RECORDINGS[:2])
def test_recorded_gru(name):
    recording = Recording(name)
    golden = recording.golden
    output = recording.rssm.cell.recur(golden["gru/in/x"], golden["gru/in/h"])
    assert_close(output, golden["gru/out/h"])


@pytest.mark.parametrize("name", ["observe", "observe_from"])
def test_recorded_filtering_with_resets(recording, name):
    golden = recording.golden
    assert golden["in/is_first"][:, 1:].any(), "the recording should reset inside a sequence"
    state = recording.start() if name == "observe_from" else None
    post, prior = recording.observe(name, state)
    recording.assert_state(post, golden.group(f"{name}/post"))
    latent = recording.rssm.latent
    draws = tf.constant(golden[f"{name}/prior_{recording.draw}"])
    sampled = State(post.deter, latent.sample(prior, draws), prior)
    recording.assert_state(sampled, golden.group(f"{name}/prior"))
    if name == "observe":
        assert_close(get_feat(post), golden["observe/feat"])
        assert_close(latent.entropy(post.stats), golden["observe/post_entropy"])
        assert_close(latent.entropy(prior), golden["observe/prior_entropy"])


def test_recorded_gradient_of_filtering(recording):
    variables = recording.rssm.trainable_variables
    with tf.GradientTape() as tape:
        post, prior = recording.observe("observe")
        loss = tf.reduce_sum(get_feat(post) * recording.golden["observe/weight"])
        # Nothing of the loss reaches the prior's layers; zero makes that a gradient.
        loss += 0.0 * sum(tf.reduce_sum(value) for value in prior.values())
    gradients = tape.gradient(loss, [v.value for v in variables])
    ours = arrange(recording.places, variables, gradients)
    recorded = recording.golden.group("observe/grad")
    assert ours.keys() == recorded.keys()
    for name, gradient in ours.items():
        assert_close(gradient, recorded[name], tolerance=1e-4, name=name)


def test_recorded_imagination(recording):
    action = tf.constant(np.swapaxes(recording.golden["in/action"], 0, 1))
    prior = recording.rssm.predict(action, recording.start(), recording.draws("imagine/prior"))
    prior = tf.nest.map_structure(lambda x: np.swapaxes(x, 0, 1), prior)
    recording.assert_state(prior, recording.golden.group("imagine/prior"))


def test_recorded_mode(recording):
    golden, latent = recording.golden, recording.rssm.latent
    step = {key: golden[f"in/{key}"][:, 0] for key in ("action", "embed", "is_first")}
    draws = recording.draws("observe/post")[0]
    state = recording.rssm.obs_step(recording.start(), **step, noise=draws)
    assert_close(latent.mode(state.stats), recording.flat(golden["mode/post/stoch"]))


@pytest.mark.parametrize("activation", ["softplus", "sigmoid"])
def test_recorded_standard_deviations(activation):
    recording = Recording("v2_rssm_gauss", std_activation=activation)
    post, _ = recording.observe("observe")
    assert_close(post.stats["std"], recording.golden[f"std_act_{activation}/post/std"])
    assert_close(post.stats["mean"], recording.golden[f"std_act_{activation}/post/mean"])
