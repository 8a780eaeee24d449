"""LaProp, its clipping and its schedule against the V3 recordings and their equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.optimizers import schedules

from dreamer_tf import config
from dreamer_tf.optim import AdaptiveClip, GradientStep, LaProp, Warmup, learning_rate
from tests.golden_data import Golden, assert_close

GOLDEN = Golden("v3_optimizer")
SETTINGS = [name for name, value in GOLDEN.settings.items() if isinstance(value, dict)]


def recorded_schedule(setting):
    """The learning rates of a recorded setting, its annealing as it was executed."""
    options = {key: setting[key] for key in ("schedule", "anneal", "warmup")}
    options["learning_rate"] = setting["lr"]
    return learning_rate(
        config.load([], {"dreamerv3": {"optimizer": options}}).config.dreamerv3.optimizer
    )


def recorded_step(setting, variables):
    optimizer = LaProp(
        recorded_schedule(setting),
        beta_1=setting["beta1"] if setting["momentum"] else 0.0,
        beta_2=setting["beta2"],
        epsilon=setting["eps"],
        nesterov=setting["nesterov"],
        weight_decay=setting["wd"] or None,
    )
    if setting["wd"]:
        kept = [v for name, v in variables.items() if not name.endswith("/kernel")]
        optimizer.exclude_from_weight_decay(var_list=kept)
    # A ratio of 0 switches the clipping off there; without a bound it does nothing here.
    clip = AdaptiveClip(setting["agc"] or np.inf)
    return GradientStep("model", list(variables.values()), optimizer, clip)


@pytest.mark.parametrize("name", SETTINGS)
def test_recorded_updates(name):
    variables = {
        key: keras.Variable(value, name=key.replace("/", "_"))
        for key, value in GOLDEN.group("param").items()
    }
    step = recorded_step(GOLDEN.settings[name], variables)
    update = tf.function(step.apply, autograph=False)
    count = 1 + max(int(key.split("/")[1]) for key in GOLDEN.arrays if key.startswith("grad/"))
    for index in range(count):
        gradients = GOLDEN.group(f"grad/{index}")
        metrics = update(tf.constant(0.0), [tf.constant(gradients[key]) for key in variables])
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients.values()))
        np.testing.assert_allclose(metrics["model_grad_norm"], norm, rtol=1e-5)
        for key, expected in GOLDEN.group(f"{name}/{index}").items():
            assert_close(variables[key].numpy(), expected, name=f"{name}, update {index}, {key}")


@pytest.mark.parametrize("exponent", [-24, -22, -20, -18, -15, -8, 0, 8])
def test_gradients_of_any_size_move_weights_as_the_equations_say(exponent):
    rng = np.random.default_rng(0)
    gradients = (rng.standard_normal([20, 5]) * 10.0**exponent).astype(np.float32)
    variable = keras.Variable(np.zeros(5, np.float32))
    optimizer = LaProp(1.0)
    optimizer.build([variable])
    mean_square, momentum, expected = np.zeros(5), np.zeros(5), np.zeros(5)
    for t, gradient in enumerate(gradients.astype(np.float64), 1):
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        mean_square = 0.999 * mean_square + 0.001 * gradient**2
        update = gradient / (np.sqrt(mean_square / (1 - 0.999**t)) + 1e-20)
        momentum = 0.9 * momentum + 0.1 * update
        expected -= momentum / (1 - 0.9**t)
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_weights_without_gradient_stay():
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = LaProp(0.1)
    optimizer.build([variable])
    optimizer.apply([tf.zeros(3)], [variable])
    np.testing.assert_array_equal(variable.numpy(), 1.0)


def test_the_optimizer_survives_saving():
    rate = Warmup(schedules.PolynomialDecay(0.1, 10, 0.01), 3)
    optimizer = LaProp(rate, beta_1=0.8, beta_2=0.99, epsilon=1e-8, nesterov=True)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
    for index in range(5):
        gradient = tf.constant([0.3, -2.0, 0.01]) * (index - 2.5)
        for one, variable in zip((optimizer, copy), variables, strict=True):
            one.apply([gradient], [variable])
        np.testing.assert_array_equal(variables[0].numpy(), variables[1].numpy())
    assert not np.allclose(variables[0].numpy(), 1.0)


def test_warm_up_rises_from_zero_and_then_hands_over():
    fixed, decaying = Warmup(2.0, 4), Warmup(schedules.PolynomialDecay(2.0, 2, 1.0), 4)
    assert [float(fixed(k)) for k in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    assert [float(decaying(k)) for k in range(8)] == [0.0, 0.5, 1.0, 1.5, 2.0, 1.5, 1.0, 1.0]
    assert float(Warmup(2.0, 0)(0)) == 2.0


def clipped(gradients, variables, ratio=0.5):
    norms = tf.stack([tf.norm(gradient) for gradient in gradients])
    return [g.numpy() for g in AdaptiveClip(ratio)(gradients, norms, variables)]


def test_adaptive_clipping_bounds_each_tensor_by_its_own_norm():
    variables = [keras.Variable(value, name="kernel") for value in ([3.0, 4.0], [0.0, 0.0])]
    long = [tf.constant([30.0, 40.0]), tf.constant([0.0, 2.0])]
    np.testing.assert_allclose(clipped(long, variables)[0], [1.5, 2.0], rtol=1e-6)
    np.testing.assert_allclose(clipped(long, variables)[1], [0.0, 0.5e-3], rtol=1e-6)
    short = [tf.constant([1.5, 1.9]), tf.constant([0.0, 0.4e-3])]
    for gradient, result in zip(short, clipped(short, variables), strict=True):
        np.testing.assert_array_equal(result, gradient)


def test_adaptive_clipping_takes_the_parts_of_a_kernel_together():
    names = ["bias", "kernel_0", "kernel_1", "kernel_2", "kernel_0", "kernel_1"]
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal([n + 1, 2]).astype(np.float32) for n in range(6)]
    gradients = [9 * rng.standard_normal(w.shape).astype(np.float32) for w in weights]
    parts = [keras.Variable(w, name=name) for w, name in zip(weights, names, strict=True)]
    results = clipped([tf.constant(g) for g in gradients], parts)
    for group in (slice(0, 1), slice(1, 4), slice(4, 6)):
        whole = keras.Variable(np.concatenate(weights[group]), name="kernel")
        [expected] = clipped([tf.constant(np.concatenate(gradients[group]))], [whole])
        np.testing.assert_allclose(np.concatenate(results[group]), expected, rtol=1e-5)


def test_a_checkpoint_holds_the_averages(tmp_path):
    def make():
        variable = keras.Variable(np.ones(3, np.float32), name="weight")
        step = GradientStep("model", [variable], LaProp(Warmup(0.1, 2)), AdaptiveClip(0.3))
        return step, tf.train.Checkpoint(step=step, weight=variable.value)

    def update(step, count):
        for index in range(count):
            step.apply(tf.constant(0.0), [tf.constant([0.5, -0.1, 0.01]) / (index + 1)])

    (step, checkpoint), (other, other_checkpoint) = make(), make()
    update(step, 3)
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    update(step, 2)
    other_checkpoint.read(path).assert_consumed()
    update(other, 2)
    np.testing.assert_array_equal(other.targets[0].numpy(), step.targets[0].numpy())
