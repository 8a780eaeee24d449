"""The block cell, the RSSM around it and the KL terms against the DreamerV3 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import BlockDense, BlockGRU, fan_in_normal
from dreamer_tf.nn.block_gru import from_blocks, to_blocks
from dreamer_tf.world_model import RSSM, CategoricalLatent, SplitKL, State
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import arrange, load
from tests.golden_v3 import block_linear, cell_places, rssm_places

KINDS = ("kernel", "bias")


def test_recorded_layer_in_blocks():
    golden = Golden("v3_layers")
    x, bias = golden["in/x"], golden["block/param/bias"]
    layer = BlockDense(bias.size, golden.settings["blocks"])
    layer.build(x.shape[-1])
    load(block_linear("block", layer), {f"block/{k}": golden[f"block/param/{k}"] for k in KINDS})
    output = from_blocks(layer(to_blocks(tf.constant(x), layer.blocks)))
    assert_close(output, golden["block/out"])


@pytest.mark.parametrize("name", ["core1", "core2"])
def test_recorded_cell(name):
    golden = Golden("v3_layers")
    recorded = {
        key.removeprefix("rssm/"): value for key, value in golden.group(f"{name}/param").items()
    }
    deter, stoch, action = (golden[f"{name}/in/{key}"] for key in ("deter", "stoch", "action"))
    stoch = stoch.reshape(len(stoch), -1)
    hidden = recorded["in_deter/bias"].size
    layers = sum(key.startswith("hidden") and key.endswith("kernel") for key in recorded)
    cell = BlockGRU(deter.shape[-1], hidden, golden.settings["blocks"], layers=layers)
    cell.build(stoch.shape[-1], action.shape[-1])
    load(cell_places(cell), recorded)
    assert np.abs(action).max() > 1, "the recording should have actions that are too large"
    output = cell(tf.constant(deter), tf.constant(stoch), cell.project_action(action))
    assert_close(output, golden[f"{name}/out/deter"])


def test_widths_that_do_not_fall_into_blocks_are_refused():
    cell = BlockGRU(10, 4, blocks=4)
    with pytest.raises(ValueError, match="4 blocks.*10"):
        cell.build(3, 2)


class Recording:
    """The recording and the model that it describes."""

    def __init__(self):
        self.golden = golden = Golden("v3_rssm")
        s = golden.settings
        cell = BlockGRU(s["deter"], s["hidden"], s["blocks"], layers=s["dynlayers"])
        self.latent = CategoricalLatent(s["stoch"], s["classes"], s["unimix"])
        self.rssm = RSSM(
            cell,
            self.latent,
            s["hidden"],
            prior_layers=s["imglayers"],
            post_layers=s["obslayers"],
            norm="rms_silu",
            activation="linear",
            initializer=fan_in_normal(),
            out_initializer=fan_in_normal(),
        )
        self.action = tf.constant(golden["in/action/action"])
        self.rssm.build(s["tokens"], self.action.shape[-1])
        self.places = rssm_places(self.rssm)
        load(self.places, golden.group("param"))
        stoch = flat(golden["in/carry/stoch"])
        stats = self.latent.initial_stats(len(stoch))
        self.start = State(tf.constant(golden["in/carry/deter"]), tf.constant(stoch), stats)

    def draws(self, name):
        return tf.constant(np.swapaxes(self.golden[name], 0, 1))

    def observe(self, draws):
        tokens, reset = self.golden["in/tokens"], self.golden["in/reset"]
        return self.rssm.observe(
            tf.constant(tokens), self.action, tf.constant(reset), self.start, self.draws(draws)
        )

    def kl(self, post, prior):
        nats = (0.0, self.golden.settings["free_nats"])
        return [SplitKL(n).losses(self.latent.kl, post.stats, prior)[0] for n in nats]


@pytest.fixture(scope="module")
def recording():
    return Recording()


def flat(stoch):
    return stoch.reshape(*stoch.shape[:-2], -1)


def test_recorded_filtering_with_resets(recording):
    golden = recording.golden
    assert golden["in/reset"][:, 1:].any(), "the recording should reset inside a sequence"
    post, prior = recording.observe("observe/post_index")
    assert_close(post.deter, golden["observe/deter"])
    assert_close(post.stoch, flat(golden["observe/stoch"]))
    assert_close(post.stats["logit"], golden["observe/post_logit"])
    assert_close(prior["logit"], golden["observe/prior_logit"])


def test_recorded_kl_and_entropies(recording):
    golden = recording.golden
    post, prior = recording.observe("observe/post_index")
    terms, bounded = recording.kl(post, prior)
    assert_close(terms["dyn"], golden["loss/kl"])
    assert_close(bounded["dyn"], golden["loss/dyn"])
    assert_close(bounded["rep"], golden["loss/rep"])
    assert_close(recording.latent.entropy(post.stats), golden["loss/post_entropy"])
    assert_close(recording.latent.entropy(prior), golden["loss/prior_entropy"])


def test_recorded_gradients(recording):
    golden, variables = recording.golden, recording.rssm.trainable_variables
    with tf.GradientTape() as tape:
        post, prior = recording.observe("grad_post_index")
        _, bounded = recording.kl(post, prior)
        loss = tf.reduce_mean(bounded["dyn"] + 0.1 * bounded["rep"])
        loss += 0.01 * tf.reduce_sum(golden["in/weight_deter"] * post.deter)
        loss += 0.01 * tf.reduce_sum(flat(golden["in/weight_stoch"]) * post.stoch)
    gradients = tape.gradient(loss, [v.value for v in variables])
    assert_close(loss, golden["grad_loss"])
    arranged = arrange(recording.places, variables, gradients)
    recorded = golden.group("grad")
    assert arranged.keys() == recorded.keys()
    for name, expected in recorded.items():
        assert_close(arranged[name], expected, tolerance=1e-4, name=name)


def test_recorded_imagination(recording):
    golden = recording.golden
    action = tf.transpose(recording.action, [1, 0, 2])
    prior = recording.rssm.predict(action, recording.start, recording.draws("imagine/index"))
    assert_close(np.swapaxes(prior.deter, 0, 1), golden["imagine/deter"])
    assert_close(np.swapaxes(prior.stats["logit"], 0, 1), golden["imagine/logit"])


def test_unimix_bounds_every_probability_from_below():
    latent = CategoricalLatent(1, 4, unimix=0.01)
    certain = latent.stats(tf.constant([[1e4, 0.0, 0.0, 0.0]]))
    opposite = latent.stats(tf.constant([[0.0, 1e4, 0.0, 0.0]]))
    floor = 0.01 / 4
    expected = (1 - 3 * floor) * np.log((1 - 3 * floor) / floor)
    expected += floor * np.log(floor / (1 - 3 * floor))
    np.testing.assert_allclose(latent.kl(certain, opposite), [expected], rtol=1e-4)
