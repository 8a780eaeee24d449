"""KL terms and losses: recorded values and gradients, and which side each term moves."""

import re

import pytest
import tensorflow as tf

from dreamer_tf.world_model import (
    BalancedKL,
    CategoricalLatent,
    GaussianLatent,
    JointKL,
    SplitKL,
)
from tests.golden_data import Golden, assert_close, parse_pairs

RECORDINGS = ["v2_rssm_discrete", "v2_rssm_discrete_layernorm", "v2_rssm_gauss"]


def make_loss(forward, balance, free_nats, average):
    """The loss that the settings of a recording describe."""
    if balance == 0.5:
        return JointKL(free_nats, "step", forward)
    return BalancedKL(balance, free_nats, "batch" if average else "step", forward)


class Recording:
    """Recorded stats of posterior and prior."""

    def __init__(self, name):
        self.golden = Golden(name)
        s = self.golden.settings
        keys = ("logit",) if s["classes"] else ("mean", "std")
        self.latent = (
            CategoricalLatent(s["stoch"], s["classes"])
            if s["classes"]
            else GaussianLatent(s["stoch"], s["min_std"])
        )
        self.post, self.prior = (
            {key: tf.constant(self.golden[f"observe/{side}/{key}"]) for key in keys}
            for side in ("post", "prior")
        )


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    return Recording(request.param)


def test_recorded_losses(recording):
    recorded = recording.golden.group("kl/loss")
    assert len(recorded) >= 20
    for setting, expected in recorded.items():
        forward, balance, free, average = map(float, re.findall(r"=([\d.]+)", setting))
        loss = make_loss(bool(forward), balance, free, bool(average))
        losses, mean = loss.losses(recording.latent.kl, recording.post, recording.prior)
        assert_close(losses["kl"], expected, name=setting)
        assert_close(mean, recording.golden[f"kl/value_forward={int(forward)}"].mean())


@pytest.mark.parametrize("name", ["default", "per_step", "clipped", "half", "forward"])
def test_recorded_gradients(recording, name):
    post, prior = recording.post, recording.prior
    s = parse_pairs(recording.golden.setting(f"kl/grad_{name}/post_{next(iter(post))}"))
    loss = make_loss(s["forward"], s["balance"], s["free"], s["free_avg"])
    with tf.GradientTape() as tape:
        tape.watch([post, prior])
        value = loss.losses(recording.latent.kl, post, prior)[0]["kl"]
    gradients = tape.gradient(value, {"post": post, "prior": prior}, unconnected_gradients="zero")
    for side, stats in gradients.items():
        for key, gradient in stats.items():
            recorded = recording.golden[f"kl/grad_{name}/{side}_{key}"]
            assert_close(gradient, recorded, tolerance=1e-4, name=f"{side}_{key}")


def test_each_half_moves_only_its_side(recording):
    post, prior = recording.post, recording.prior
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([post, prior])
        split, _ = SplitKL(free_nats=0.0).losses(recording.latent.kl, post, prior)
        joint = recording.latent.kl(post, prior)
    assert all(g is None for g in tape.gradient(split["dyn"], post).values())
    assert all(g is None for g in tape.gradient(split["rep"], prior).values())
    assert_close(split["dyn"], joint)
    assert_close(split["rep"], joint)
    for half, side in [("dyn", prior), ("rep", post)]:
        ours, expected = tape.gradient(split[half], side), tape.gradient(joint, side)
        for key, gradient in ours.items():
            assert_close(gradient, expected[key], tolerance=1e-4, name=f"{half} {key}")
