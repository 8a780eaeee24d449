"""Objectives without a decoder against recordings of R2-Dreamer's code: losses and gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import SlowCopy
from dreamer_tf.nn import Linear
from dreamer_tf.ops import shift_image
from dreamer_tf.world_model import R2, DreamerPro, InfoNCE, Prototypes, sinkhorn
from tests.golden_data import Golden, assert_close


def linear(inputs, outputs, use_bias=True):
    layer = Linear(outputs, use_bias=use_bias)
    layer.build(inputs)
    return layer


def projector(golden):
    layer = linear(golden.settings["feat"], golden.settings["embed"], use_bias=False)
    layer.out.kernel.assign(golden["param/projector/kernel"])
    return layer


def settings(name):
    """The settings of a recording, each with an array ``out/<setting>/loss``."""
    keys = [key.split("/") for key in Golden(name).arrays]
    return [key[1] for key in keys if key[0] == "out" and key[-1] == "loss"]


def embedding(golden, setting):
    """The embeddings of a setting; most share one array."""
    own = f"in/{setting}/embed"
    return tf.constant(golden[own if own in golden.arrays else "in/embed"])


def compare_projected(golden, setting, objective):
    """Loss and gradients of an objective with a projector; returns its metrics."""
    feat, embed = tf.constant(golden["in/feat"]), embedding(golden, setting)
    kernel = objective.projector.out.kernel.value
    with tf.GradientTape() as tape:
        tape.watch([feat, embed])
        losses, metrics = objective.terms({}, feat, embed)
        [(name, loss)] = losses.items()
        loss = tf.reduce_mean(loss)
    assert objective.scales == {name: golden.settings["scale"]}
    assert_close(loss, golden[f"out/{setting}/loss"])
    assert_close(objective.scales[name] * loss, golden[f"out/{setting}/scaled_loss"])
    recorded = golden.group(f"grad/{setting}")
    towards_feat, towards_kernel, towards_embed = tape.gradient(loss, [feat, kernel, embed])
    assert_close(towards_feat, recorded["feat"], tolerance=1e-4)
    assert_close(towards_kernel, recorded["projector/kernel"], tolerance=1e-4)
    assert towards_embed is None and not recorded["embed"].any()
    return metrics


@pytest.mark.parametrize("setting", settings("r2_objective"))
def test_recorded_redundancy_reduction(setting):
    golden = Golden("r2_objective")
    redundancy = golden.settings["settings"][setting]["lambd"]
    objective = R2(projector(golden), redundancy=redundancy, scale=golden.settings["scale"])
    metrics = compare_projected(golden, setting, objective)
    for part in ("invariance", "redundancy"):
        assert_close(metrics[f"r2_{part}"], golden[f"out/{setting}/{part}"], name=part)


@pytest.mark.parametrize("setting", settings("infonce_objective"))
def test_recorded_infonce(setting):
    golden = Golden("infonce_objective")
    objective = InfoNCE(projector(golden), scale=golden.settings["scale"])
    metrics = compare_projected(golden, setting, objective)
    count = golden["in/feat"].shape[0] * golden["in/feat"].shape[1]
    information = np.log(count) - golden[f"out/{setting}/loss"]
    assert_close(metrics["infonce_information"], information)


# ------------------------------------------------------------------ DreamerPro


class RecordedEncoder:
    """Stands for an encoder whose output was recorded."""

    def __init__(self, variables=()):
        self.variables = list(variables)

    def inputs(self, obs):
        return obs

    def __call__(self, obs):
        return obs["embed"]


class Recording:
    """The recorded objective, with a dense layer as the encoder that is followed."""

    def __init__(self):
        self.golden = golden = Golden("dreamerpro_objective")
        s = golden.settings
        size = s["proto_dim"]
        self.prototypes = Prototypes(s["num_prototypes"])
        self.prototypes.build(size)
        self.online, self.slow = linear(s["embed"], size), linear(s["embed"], size)
        self.feat = linear(s["feat"], size)
        shape = golden["ema/start/encoder/kernel"].shape
        self.encoder, self.slow_encoder = (
            RecordedEncoder([keras.Variable(np.zeros(shape, np.float32))]) for _ in range(2)
        )
        pace = {"every": s["ema_update_every"], "fraction": s["ema_update_fraction"]}
        self.objective = DreamerPro(
            self.prototypes,
            self.online,
            self.feat,
            SlowCopy(self.slow_encoder, self.encoder, **pace),
            SlowCopy(self.slow, self.online, **pace),
            scales=s["scales"],
            temperature=s["temperature"],
            sinkhorn_epsilon=s["sinkhorn_eps"],
            sinkhorn_iterations=s["sinkhorn_iters"],
            warm_up=s["warm_up"],
            frozen=0,
        )

    def load(self, recorded):
        """Sets weights by their recorded names."""
        for name, value in recorded.items():
            self.variables[name].assign(value)

    @property
    def variables(self):
        layers = {"obs_proj": self.online, "ema_obs_proj": self.slow, "feat_proj": self.feat}
        found = {"prototypes": self.prototypes.vectors}
        for name, layer in layers.items():
            found |= {f"{name}/kernel": layer.out.kernel, f"{name}/bias": layer.out.bias}
        return found


@pytest.fixture
def recording():
    return Recording()


def test_recorded_prototype_losses(recording):
    golden, objective = recording.golden, recording.objective
    recording.load(golden.group("param"))
    feat, embed = tf.constant(golden["in/feat"]), tf.constant(golden["in/embed"])
    watched = {"feat": feat, "embed": embed}
    watched |= {name: v.value for name, v in recording.variables.items()}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([feat, embed])
        losses, _ = objective.terms({"embed": golden["in/ema_embed"]}, feat, embed)
        losses = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
        total = sum(objective.scales[name] * loss for name, loss in losses.items())
    assert losses.keys() == objective.scales.keys()
    for name, loss in (losses | {"total": total}).items():
        assert_close(loss, golden[f"out/{name}"], name=name)
        for key, expected in golden.group(f"grad/{name}").items():
            gradient = tape.gradient(loss, watched[key])
            gradient = np.zeros_like(expected) if gradient is None else gradient
            assert_close(gradient, expected, tolerance=1e-4, name=f"{name} to {key}")
        for key in ("kernel", "bias"):
            assert tape.gradient(loss, watched[f"ema_obs_proj/{key}"]) is None


def test_recorded_parts_of_the_prototype_losses(recording):
    golden, objective = recording.golden, recording.objective
    recording.load(golden.group("param"))
    prototypes = recording.prototypes(tf.constant(False))
    projected = {
        "obs": recording.online(golden["in/embed"]),
        "ema": objective._slow_projected({"embed": golden["in/ema_embed"]}),
        "feat": recording.feat(golden["in/feat"]),
    }
    for name, x in projected.items():
        scores = objective._cosines(x, prototypes)
        assert_close(np.moveaxis(scores, -1, 0), golden[f"out/{name}_scores"], name=name)
    views = tf.split(objective._cosines(projected["ema"], prototypes), 2)
    targets = np.concatenate([sinkhorn(view, *objective.sinkhorn_options) for view in views])
    assert_close(np.moveaxis(targets, -1, 0), golden["out/targets"])


def test_recorded_sinkhorn():
    golden = Golden("dreamerpro_objective")
    scores = tf.constant(np.moveaxis(golden["sinkhorn/in/scores"], 0, -1))
    for name, setting in golden.settings["sinkhorn_settings"].items():
        shares = sinkhorn(scores, setting["eps"], setting["iters"])
        assert_close(np.moveaxis(shares, -1, 0), golden[f"sinkhorn/out/{name}"], name=name)


@pytest.mark.parametrize("name", ["default", "per_step", "nearest", "per_step_nearest"])
def test_recorded_shifts(name):
    golden = Golden("dreamerpro_objective")
    image = np.concatenate([golden["translate/in/image"]] * 2)
    reach = int(golden.settings["max_delta"])
    shift = tf.constant(golden[f"sample/translate/{name}/shift"])
    shifted = shift_image(tf.constant(image), shift, reach)
    assert shifted.dtype == tf.uint8
    assert_close(shifted.numpy() / np.float32(255), golden[f"translate/out/{name}/image"])
    same = shift_image(tf.constant(image), tf.fill(shift.shape, reach), reach)
    np.testing.assert_array_equal(same, image)


def test_recorded_moves_of_the_slow_networks(recording):
    golden, objective = recording.golden, recording.objective
    layers = {
        "obs_proj/kernel": (recording.online.out.kernel, recording.slow.out.kernel),
        "obs_proj/bias": (recording.online.out.bias, recording.slow.out.bias),
        "encoder/kernel": (recording.encoder.variables[0], recording.slow_encoder.variables[0]),
    }
    for name, (_, slow) in layers.items():
        slow.assign(golden[f"ema/start/{name}"])
    # The constructor was the first move.
    objective.slow_encoder.updates.assign(0)
    objective.slow_projection.updates.assign(0)
    calls = {key.split("/")[2] for key in golden.arrays if key.startswith("ema/in/")}
    for call in sorted(calls, key=int):
        for name, (online, _) in layers.items():
            online.assign(golden[f"ema/in/{call}/{name}"])
        recording.prototypes.vectors.assign(golden[f"ema/in/{call}/prototypes"])
        objective.follow(tf.constant(0.0))
        for name, (_, slow) in layers.items():
            assert_close(slow.numpy(), golden[f"ema/out/{call}/{name}"], name=f"{call} {name}")
        vectors = recording.prototypes.vectors.numpy()
        assert_close(vectors, golden[f"ema/out/{call}/prototypes"])
