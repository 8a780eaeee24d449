"""Encoders and decoders for images and everything else against the DreamerV3 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import (
    Pyramid,
    PyramidDecoder,
    PyramidEncoder,
    SymlogDecoder,
    SymlogEncoder,
    select_keys,
)
from dreamer_tf.nn.image_pyramid import (
    InsertedConv,
    NearestConv,
    PooledConv,
    SameConv,
    StridedConv,
)
from dreamer_tf.ops import IMAGE_OFFSET
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import load
from tests.golden_v3 import decoder_places, encoder_places

RECORDINGS = ["v3_encdec", "v3_encdec_outer", "v3_encdec_strided"]


def observation_space(golden):
    spaces = {}
    for key, value in golden.group("in").items():
        if key not in ("deter", "stoch"):
            high = None
            if value.dtype == np.int32:
                high = golden[f"out/pred_{key}"].shape[-1] - 1
            spaces[key] = Space(value.dtype, value.shape[2:], None, high)
    return spaces


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    golden = Golden(request.param)
    s, obs_space = golden.settings, observation_space(golden)
    resampling = "stride" if s["strided"] else "pool"
    pyramid = Pyramid(
        s["depth"],
        s["mults"],
        kernel_size=s["kernel"],
        resampling=resampling,
        outer=s["outer"],
    )
    symlog = {"symlog": s["symlog"]}
    encoder = SymlogEncoder(obs_space, PyramidEncoder(pyramid), s["layers"], s["units"], **symlog)
    sizes = (s["stoch"] * s["classes"], s["deter"])
    images = PyramidDecoder(pyramid, s["units"], s["bspace"])
    decoder = SymlogDecoder(obs_space, sizes, images, s["layers"], s["units"], **symlog)
    load(encoder_places(encoder) | decoder_places(decoder), golden.group("param"))
    return golden, encoder, decoder


def features(golden):
    stoch = golden["in/stoch"]
    return np.concatenate([stoch.reshape(*stoch.shape[:-2], -1), golden["in/deter"]], -1)


def test_recorded_embedding(recording):
    golden, encoder, _ = recording
    assert_close(encoder(encoder.inputs(golden.group("in"))), golden["out/tokens"])


def test_recorded_predictions_and_losses(recording):
    golden, _, decoder = recording
    obs = decoder.targets(golden.group("in"))
    dists = decoder.dist(tf.constant(features(golden)))
    assert {f"out/loss_{key}" for key in dists} == {k for k in golden.arrays if "out/loss" in k}
    for key, dist in dists.items():
        predicted = golden[f"out/pred_{key}"]
        if key in decoder.images:
            predicted = predicted - IMAGE_OFFSET
        elif decoder.plan.categories[key]:
            predicted = tf.nn.softmax(predicted)
        assert_close(dist.mean, predicted, name=key)
        assert_close(-dist.log_prob(obs[key]), golden[f"out/loss_{key}"], name=key)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("conv", SameConv),
        ("conv_stride2", StridedConv),
        ("conv_stride2_k4", StridedConv),
        ("conv_transposed2", InsertedConv),
    ],
)
def test_recorded_convolutions(name, kind):
    golden = Golden("v3_layers")
    image, kernel = golden["in/img"], golden[f"{name}/param/kernel"]
    conv = kind(kernel.shape[-1], kernel.shape[0])
    conv.build(image.shape[-1])
    conv.kernel.assign(kernel)
    conv.bias.assign(golden[f"{name}/param/bias"])
    assert_close(conv(image), golden[f"{name}/out"])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7])
def test_doubling_equals_a_convolution_of_the_larger_image(size):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 4, 6, 3)).astype(np.float32)
    repeated = image.repeat(2, axis=1).repeat(2, axis=2)
    inserted = np.zeros_like(repeated)
    inserted[:, 1::2, 1::2] = image
    for kind, larger in [(NearestConv, repeated), (InsertedConv, inserted)]:
        conv, plain = kind(5, size), SameConv(5, size)
        conv.build(3)
        plain.build(3)
        bias = rng.normal(size=5)
        for layer in (conv, plain):
            layer.kernel.assign(conv.kernel)
            layer.bias.assign(bias)
        np.testing.assert_allclose(conv(image), plain(larger), rtol=1e-4, atol=1e-5)


def test_pooling_takes_the_largest():
    image = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    pooled, plain = PooledConv(5, 3), SameConv(5, 3)
    for layer in (pooled, plain):
        layer.build(3)
        layer.kernel.assign(pooled.kernel)
        layer.bias.assign(np.arange(5))
    expected = plain(image).numpy().reshape(2, 2, 2, 3, 2, 5).max((2, 4))
    np.testing.assert_allclose(pooled(image), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 24, 1), (48, 48, 4), (96, 64, 3)])
def test_every_size_that_can_be_halved_is_served(shape):
    pyramid = Pyramid(2, [2, 3, 4])
    encoder, decoder = PyramidEncoder(pyramid), PyramidDecoder(pyramid, 4, 4)
    encoder.build(shape)
    decoder.build(8, 6, shape)
    assert encoder(tf.zeros([3, *shape])).shape == (3, encoder.output_size)
    image = decoder(tf.zeros([3, 8]), tf.zeros([3, 6]))
    assert image.shape == (3, *shape)


def test_other_sizes_are_refused_with_the_nearest():
    encoder = PyramidEncoder(Pyramid(2, [1, 2, 3, 4]))
    with pytest.raises(ValueError, match="multiples of 16.*80×64; got 84×60"):
        encoder.build((84, 60, 3))


def test_observations_of_other_kinds_are_refused_by_name():
    spaces = {"thing": Space(np.int32, (2,), 0, [1, 2])}
    with pytest.raises(ValueError, match="'thing'.*same number of categories"):
        SymlogEncoder(spaces, None, 1, 4)
    spaces = {"a": Space(np.uint8, (32, 32, 3)), "b": Space(np.uint8, (64, 64, 3))}
    with pytest.raises(ValueError, match="same height and width"):
        SymlogEncoder(spaces, None, 1, 4)


def test_keys_that_are_no_regular_expression_are_refused():
    spaces = {"speed": Space(np.float32, (2,))}
    with pytest.raises(ValueError, match=r"keys of the encoder: expected a regular.*got '\['"):
        select_keys(spaces, "[", ".*", "encoder")
    assert select_keys(spaces, "image", "sp.*", "encoder") == spaces


@pytest.mark.parametrize(("symlog", "scaled"), [(True, np.log1p(5.0)), (False, 5.0)])
def test_a_decoder_predicts_the_symlog_of_numbers_or_these_themselves(symlog, scaled):
    spaces = {"speed": Space(np.float32, (2,))}
    decoder = SymlogDecoder(spaces, (3, 5), None, 1, 4, symlog=symlog)
    targets = decoder.targets({"speed": tf.constant([[5.0, 0.0]])})
    np.testing.assert_allclose(targets["speed"], [[scaled, 0.0]], rtol=1e-6)


def test_flags_and_matrices_are_observations_too():
    spaces = {"flag": Space(bool), "matrix": Space(np.float32, (2, 3))}
    encoder = SymlogEncoder(spaces, None, 1, 4)
    decoder = SymlogDecoder(spaces, (3, 5), None, 1, 4)
    obs = {"flag": tf.constant([True, False]), "matrix": tf.ones([2, 2, 3])}
    assert encoder(encoder.inputs(obs)).shape == (2, 4)
    dists = decoder.dist(tf.zeros([2, 8]))
    for key, value in decoder.targets(obs).items():
        assert dists[key].log_prob(value).shape == (2,)
