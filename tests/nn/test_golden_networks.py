"""Encoder, decoder and heads against the V1 recordings."""

import numpy as np
import pytest

from dreamer_tf.nn import BernoulliHead, MultiDecoder, MultiEncoder, NormalHead
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close, load_weights, v1_weights


def image_networks(golden):
    shape = golden["in/image"].shape[2:]
    obs_space = {"image": Space(np.uint8, shape)}
    sizes = {
        "depth": golden.settings["cnn_depth"],
        "vector_layers": 1,
        "vector_units": 1,
        "image_activation": golden.settings["activation"],
    }
    encoder = MultiEncoder(obs_space, **sizes)
    decoder = MultiDecoder(obs_space, golden.settings["decoder_input"], **sizes)
    load_weights(v1_weights(encoder=encoder, decoder=decoder), golden.group("param"))
    return encoder, decoder


def test_recorded_encoder():
    golden = Golden("v1_conv")
    encoder, _ = image_networks(golden)
    assert_close(encoder(encoder.inputs({"image": golden["in/image"]})), golden["out/embed"])


def test_recorded_decoder():
    golden = Golden("v1_conv")
    encoder, decoder = image_networks(golden)
    dist = decoder.dist(golden["in/feat"])["image"]
    assert_close(dist.mode(), golden["out/decoder_mean"])
    target = encoder.inputs({"image": golden["in/image"]})["image"]
    assert_close(dist.log_prob(target), golden["out/decoder_logprob"])


@pytest.mark.parametrize("name, kind", [("reward", NormalHead), ("value", NormalHead)])
def test_recorded_normal_heads(name, kind):
    golden = Golden("v1_heads")
    head = build_head(golden, name, kind)
    dist = head.dist(golden["in/feat"])
    assert_close(dist.mode(), golden[f"{name}/mode"])
    assert_close(dist.log_prob(golden[f"{name}/target"]), golden[f"{name}/logprob"])


def test_recorded_discount_head():
    golden = Golden("v1_heads")
    head = build_head(golden, "pcont", BernoulliHead)
    dist = head.dist(golden["in/feat"])
    assert_close(head(golden["in/feat"]), golden["pcont/logit"])
    assert_close(dist.mean(), golden["pcont/mean"])
    assert_close(dist.log_prob(golden["pcont/target"]), golden["pcont/logprob"])


def build_head(golden, name, kind):
    s = golden.settings
    head = kind(s["layers"][name], s["units"], activation=s["activation"])
    head.build(golden["in/feat"].shape[-1])
    recorded = {f"{name}/{key}": value for key, value in golden.group(f"param/{name}").items()}
    load_weights(v1_weights(heads={name: head}), recorded)
    return head
