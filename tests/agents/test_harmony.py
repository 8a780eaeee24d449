"""Losses weighed by learned scales: against recordings of HarmonyDream's code, and in agents."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.agents.harmony import Harmony
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close

SETTINGS = ("init", "random", "balanced")
SCALES = ("reward", "image", "kl")
OBS_SPACE = {"image": Space(np.uint8, (16, 16, 3)), "position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
FAST = {
    "dreamerv2": {"dreamerv2.model_optimizer.learning_rate": 3e-2},
    "dreamerv3": {
        "dreamerv3.optimizer.warmup": 0,
        "dreamerv3.optimizer.learning_rate": 3e-2,
        "dreamerv3.optimizer.grad_clip": 1e3,
    },
}


def make_agent(name, obs_space=OBS_SPACE, **overrides):
    tf.keras.utils.set_random_seed(0)
    options = {"agent": name, f"{name}.harmony": True} | overrides
    return agents.make(config.load(["debug"], options).config, obs_space, ACT_SPACE)


def make_batch(obs_space=OBS_SPACE, batch_size=2, length=6, seed=0):
    rng = np.random.default_rng(seed)
    leading = (batch_size, length)
    batch = {
        "reward": rng.uniform(0, 1, leading).astype(np.float32),
        "action": rng.uniform(-1, 1, (*leading, 2)).astype(np.float32),
    }
    batch |= {key: np.zeros(leading, bool) for key in ("is_first", "is_last", "is_terminal")}
    for key, space in obs_space.items():
        shape = (*leading, *space.shape)
        values = rng.integers(0, 256, shape) if space.is_image else rng.normal(size=shape)
        batch[key] = values.astype(space.dtype)
    return {key: tf.constant(value) for key, value in batch.items()}


# What the authors' code leaves out of the loss of DreamerV2 has no weight here.
@pytest.mark.parametrize(
    "version, names, joint",
    [
        ("v2", ("reward", "image", "cont", "joint", "kl"), 0.0),
        ("v3", ("reward", "image", "cont", "joint", "dyn", "rep"), 1.0),
    ],
)
@pytest.mark.parametrize("setting", SETTINGS)
def test_recorded_losses_and_gradients(version, names, joint, setting):
    golden = Golden("harmony")
    recorded = golden.settings[version]
    losses = {name: tf.constant(golden[f"in/loss/{name}"]) for name in names}
    cont = {"v2": recorded["loss_scales"].get("discount"), "v3": 1.0}[version]
    # 7: weights of what is weighed by learning have no effect.
    scales = dict.fromkeys(names, 7.0) | {"cont": cont, "joint": joint}
    shares = recorded.get("kl_weights")
    harmony = Harmony(["image"], kl=shares, kl_regularizer=shares["dyn"] if shares else 1.0)
    variables = [harmony.log_scales.values[name] for name in SCALES]
    for variable, value in zip(variables, golden[f"in/{setting}/s"], strict=True):
        variable.assign(value)
    with tf.GradientTape() as tape:
        tape.watch(losses)
        total, metrics = harmony(losses, scales)
    out, grad = (golden.group(f"{version}/{kind}/{setting}") for kind in ("out", "grad"))
    assert_close(total, out["total"])
    sigma = np.array([metrics[f"harmony_{name}"] for name in SCALES])
    assert_close(1 / sigma, out["coeff"])
    assert_close(np.sqrt(sigma), out["sigma"])
    towards_losses, towards_s = tape.gradient(total, (losses, [v.value for v in variables]))
    # At the balance those of v2 are zero but for rounding, for which there is 1e-6.
    assert_close(np.array(towards_s), grad["s"], tolerance=1e-4, name="s")
    for name in names:
        expected = grad[f"loss/{name}"]
        assert_close(towards_losses[name], expected, tolerance=1e-4, name=name)
        assert_close(metrics[f"{name}_loss"], np.mean(losses[name]), name=name)


def test_a_scale_comes_to_rest_where_its_loss_weighs_less_than_one():
    harmony = Harmony(["image"])
    losses = {"reward": 0.5, "image": 40.0, "kl": 3.0}
    losses = {name: tf.constant(loss) for name, loss in losses.items()}
    for name, loss in losses.items():
        sigma = (loss + tf.sqrt(loss**2 + 4.0 * loss)) / 2.0
        harmony.log_scales.values[name].assign(tf.math.log(sigma))
    variables = [v.value for v in harmony.log_scales.trainable_variables]
    with tf.GradientTape() as tape:
        total, metrics = harmony(losses, dict.fromkeys(losses, 1.0))
    np.testing.assert_allclose(tape.gradient(total, variables), np.zeros(3), atol=1e-6)
    for name, loss in losses.items():
        assert loss / metrics[f"harmony_{name}"] < 1.0


def test_losses_and_weights_have_the_same_names():
    harmony = Harmony(["image"])
    losses = dict.fromkeys(("reward", "image", "kl", "cont"), tf.constant(1.0))
    with pytest.raises(ValueError, match="do not match"):
        harmony(losses, dict.fromkeys(("reward", "image", "kl"), 1.0))
    del losses["kl"]
    with pytest.raises(ValueError, match="do not match"):
        harmony(losses, dict.fromkeys(losses, 1.0))


@pytest.fixture(scope="module", params=["dreamerv2", "dreamerv3"])
def trained(request):
    """The name of an agent, the agent after some updates, and the metrics of the last."""
    agent, batch = make_agent(request.param, **FAST[request.param]), make_batch()
    for _ in range(5):
        metrics, _ = agent.update(batch, agent.update_noise(2, 6))
    return request.param, agent, metrics


def test_the_optimiser_of_the_model_moves_the_scales_to_the_losses(trained):
    name, agent, metrics = trained
    assert agent.parameter_counts()["harmony"] == 3
    # A loss above the balance raises its scale.
    assert metrics["harmony_image"] > 1.1 and metrics["image_loss"] > 1.0
    assert metrics["harmony_reward"] > 1.0
    plain = make_agent(name, **{f"{name}.harmony": False})
    assert "harmony" not in plain.parameter_counts()


def test_checkpoints_hold_the_scales(trained, tmp_path):
    name, agent, _ = trained
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other = make_agent(name, **FAST[name])
    tf.train.Checkpoint(agent=other).read(path).assert_existing_objects_matched()
    values = [v.numpy() for v in agent.harmony.log_scales.trainable_variables]
    assert np.all(values)
    restored = [v.numpy() for v in other.harmony.log_scales.trainable_variables]
    np.testing.assert_array_equal(values, restored)


def test_shares_of_the_two_kl_terms_are_those_of_their_weights():
    harmony = make_agent("dreamerv3", **{"dreamerv3.loss_scales.dyn": 0.5}).harmony
    weights = Golden("harmony").settings["v3"]["kl_weights"]
    assert harmony.shares["kl"] == pytest.approx(weights)
    assert harmony.regularizers["kl"] == pytest.approx(weights["dyn"])


@pytest.mark.parametrize("name", ["dreamerv2", "dreamerv3"])
def test_without_images_the_other_observations_share_the_scale(name):
    vectors = {key: Space(np.float32, (3,)) for key in ("position", "speed")}
    assert set(make_agent(name, vectors).harmony.shares["image"]) == {"position", "speed"}
    assert set(make_agent(name).harmony.shares["image"]) == {"image"}


def test_harmony_needs_a_decoder():
    with pytest.raises(ValueError, match="harmony.*reconstruction.*got r2"):
        make_agent("dreamerv3", **{"dreamerv3.objective": "r2"})
