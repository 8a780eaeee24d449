"""The step around an optimiser: Adam and clipping against the V1 recordings; what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.optim import DecayedAdam, GlobalNormClip, GradientStep
from tests.golden_data import Golden, assert_close


def variables_of(values):
    return [keras.Variable(value, name=f"weight_{i}") for i, value in enumerate(values)]


def make_step(variables, learning_rate=0.1, epsilon=1e-7, clip=100.0):
    adam = DecayedAdam(learning_rate, epsilon=epsilon)
    return GradientStep("model", variables, adam, GlobalNormClip(clip))


def test_recorded_steps():
    golden = Golden("v1_optimizer")
    settings = golden.settings
    variables = variables_of(golden.group("param").values())
    step = make_step(variables, settings["lr"], settings["epsilon"], settings["clip"])
    count = 1 + max(int(key[4 : key.index("/")]) for key in golden.arrays if key.startswith("step"))
    for index in range(count):
        gradients = [tf.constant(g) for g in golden.group(f"step{index}/grad").values()]
        metrics = step.apply(tf.constant(0.0), gradients)
        assert_close(metrics["model_grad_norm"], golden[f"step{index}/norm"])
        for variable, expected in zip(
            variables, golden.group(f"step{index}/param").values(), strict=True
        ):
            assert_close(variable.numpy(), expected)


def test_a_clip_of_zero_limits_nothing():
    gradients = [tf.constant([3e9, 4e9]), tf.constant([0.0])]
    limited = GlobalNormClip(0.0)(gradients, tf.constant([5e9, 0.0]), [])
    np.testing.assert_array_equal(limited[0], gradients[0])


@pytest.mark.parametrize("loss, gradient", [(np.nan, 1.0), (np.inf, 1.0), (0.0, np.nan)])
def test_nonfinite_steps_change_nothing(loss, gradient):
    variables = variables_of([np.ones(3, np.float32)])
    step = make_step(variables)
    step.apply(tf.constant(0.0), [tf.ones(3)])
    before = [v.numpy() for v in [*variables, *step.optimizer.variables]]
    metrics = step.apply(tf.constant(loss, tf.float32), [gradient * tf.ones(3)])
    after = [v.numpy() for v in [*variables, *step.optimizer.variables]]
    assert metrics["model_nonfinite"] == 1
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_variable_without_gradient_is_named():
    variables = variables_of([np.ones(3, np.float32), np.ones(2, np.float32)])
    step = make_step(variables)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(variables[0].value)
    with pytest.raises(ValueError, match="no gradient reaches weight_1"):
        step.gradients(tape, loss)


def test_a_loss_must_be_scalar():
    variables = variables_of([np.ones(3, np.float32)])
    step = make_step(variables)
    with tf.GradientTape() as tape:
        loss = 2 * variables[0].value
    with pytest.raises(ValueError, match="scalar"):
        step.gradients(tape, loss)
