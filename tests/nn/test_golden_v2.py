"""Encoder, decoder and heads against the DreamerV2 recordings."""

import numpy as np
import pytest

from dreamer_tf.nn import BernoulliHead, MultiDecoder, MultiEncoder, NormalHead
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import decoder_places, encoder_places, head_places, load


@pytest.fixture(scope="module", params=["v2_encdec", "v2_encdec_layernorm"])
def golden(request):
    return Golden(request.param)


@pytest.fixture(scope="module")
def networks(golden):
    settings = golden.settings
    obs_space = {"image": Space(np.uint8, settings["image"])}
    obs_space |= {key: Space(np.float32, (n,)) for key, n in settings["vectors"].items()}
    options = {
        "depth": settings["cnn_depth"],
        "vector_layers": len(settings["mlp_layers"]),
        "vector_units": settings["mlp_layers"],
        "image_activation": settings["act"],
        "vector_activation": settings["act"],
        "norm": settings["norm"],
    }
    encoder = MultiEncoder(obs_space, **options)
    decoder = MultiDecoder(obs_space, settings["feat"], **options)
    load(encoder_places(encoder) | decoder_places(decoder), golden.group("param"))
    return encoder, decoder


def test_recorded_encoder(golden, networks):
    encoder, _ = networks
    assert_close(encoder(encoder.inputs(golden.group("in"))), golden["out/embed"])


def test_recorded_decoder(golden, networks):
    _, decoder = networks
    truth = decoder.targets(golden.group("in"))
    dists = decoder.dist(golden["in/feat"])
    assert dists.keys() == {"image", *golden.settings["vectors"]}
    for key, dist in dists.items():
        assert_close(dist.mode(), golden[f"out/{key}_mean"], name=key)
        assert_close(dist.log_prob(truth[key]), golden[f"out/{key}_logprob"], name=key)


@pytest.mark.parametrize(("name", "kind"), [("mse", NormalHead), ("binary", BernoulliHead)])
def test_recorded_heads(name, kind):
    golden = Golden("v2_heads")
    settings, recorded = golden.settings, golden.group(name)
    head = kind(
        settings["layers"], settings["units"], activation=settings["act"], norm=settings["norm"]
    )
    head.build(golden["in/feat"].shape[-1])
    weights = {f"{name}/{key}": value for key, value in golden.group(f"param/{name}").items()}
    load(head_places(name, head), weights)
    dist = head.dist(golden["in/feat"])
    mean = dist.mode() if name == "mse" else dist.mean()
    assert_close(mean, recorded["mean"])
    assert_close(dist.log_prob(recorded["target"]), recorded["logprob"])
    if name == "binary":
        assert_close(dist.mode(), recorded["mode"])
