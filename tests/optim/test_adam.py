"""Adam with decay against the V2 recordings, its equations and Keras' own."""

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.optim import DecayedAdam, GlobalNormClip, GradientStep
from tests.golden_data import Golden, assert_close


def variables_of(values):
    return [keras.Variable(value, name=f"weight_{i}") for i, value in enumerate(values)]


def test_recorded_steps():
    golden = Golden("v2_optimizer")
    s = golden.settings
    variables = variables_of(golden.group("param").values())
    adam = DecayedAdam(s["lr"], s["beta1"], s["beta2"], s["epsilon"], s["wd"])
    step = GradientStep("model", variables, adam, GlobalNormClip(s["clip"]))
    update = tf.function(step.apply, autograph=False)
    count = sum(key.endswith("norm") for key in golden.arrays)
    assert count >= 3
    for index in range(count):
        gradients = [tf.constant(g) for g in golden.group(f"step{index}/grad").values()]
        metrics = update(tf.constant(0.0), gradients)
        assert_close(metrics["model_grad_norm"], golden[f"step{index}/norm"])
        expected = golden.group(f"step{index}/param").values()
        for variable, value in zip(variables, expected, strict=True):
            assert_close(variable.numpy(), value, name=f"update {index}")


def test_without_decay_it_is_adam():
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)).astype(np.float32)]
    ours, theirs = variables_of(values), variables_of(values)
    pairs = [
        (DecayedAdam(1e-2, epsilon=1e-3), ours),
        (keras.optimizers.Adam(1e-2, epsilon=1e-3), theirs),
    ]
    for _ in range(5):
        gradient = tf.constant(rng.normal(size=(3, 2)), tf.float32)
        for optimizer, variables in pairs:
            optimizer.apply([gradient], variables)
        assert_close(ours[0].numpy(), theirs[0].numpy())


def test_the_decay_does_not_depend_on_the_learning_rate():
    variables = variables_of([np.full(3, 2.0, np.float32)])
    DecayedAdam(0.0, decay=0.25).apply([tf.ones(3)], variables)
    np.testing.assert_allclose(variables[0].numpy(), 1.5)


def test_its_config_rebuilds_it():
    config = DecayedAdam(1e-3, 0.8, 0.99, 1e-4, 1e-6).get_config()
    rebuilt = DecayedAdam.from_config(config)
    assert (rebuilt.beta_1, rebuilt.beta_2, rebuilt.epsilon) == (0.8, 0.99, 1e-4)
    assert rebuilt.decay == 1e-6


def test_a_checkpoint_of_keras_adam_goes_on(tmp_path):
    """Runs of PlaNet and Dreamer were once made with it."""

    def make(optimizer):
        variable = keras.Variable([2.0, -1.0], name="weight")
        step = GradientStep("model", [variable], optimizer, GlobalNormClip(9.0))
        return step, tf.train.Checkpoint(step=step, weight=variable.value)

    def update(step, count):
        for index in range(count):
            step.apply(tf.constant(0.0), [tf.constant([0.5, -0.1]) / (index + 1)])

    step, checkpoint = make(keras.optimizers.Adam(1e-2, epsilon=1e-3))
    other, other_checkpoint = make(DecayedAdam(1e-2, epsilon=1e-3))
    update(step, 3)
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    update(step, 2)
    status = other_checkpoint.read(path)
    status.assert_existing_objects_matched()
    update(other, 2)
    assert_close(other.targets[0].numpy(), step.targets[0].numpy())
    assert int(other.optimizer.iterations) == 5
