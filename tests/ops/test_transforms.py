"""Scales of images and numbers, and norms: definitions, inverses, gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn.multikey import FloatKeys
from dreamer_tf.ops import (
    float_to_image,
    gru_gates,
    image_to_float,
    layer_norm,
    quantize_image,
    rms_norm_silu,
    symexp,
    symlog,
)
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close

# ---- Images.


EVERY_BYTE = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def test_bytes_survive_scaling():
    np.testing.assert_array_equal(float_to_image(image_to_float(EVERY_BYTE)), EVERY_BYTE)


@pytest.mark.parametrize("bits", [1, 5, 8])
def test_quantisation_keeps_the_highest_bits(bits):
    levels = np.asarray(quantize_image(EVERY_BYTE, bits, 0.0))
    assert np.unique(levels).size == 2**bits
    np.testing.assert_allclose((levels + 0.5) * 2**bits, EVERY_BYTE // 2 ** (8 - bits))


def test_five_bits_by_hand():
    image = tf.constant([[[[0]], [[7]], [[8]], [[255]]]], tf.uint8)
    levels = quantize_image(image, 5, 0.0)[0, :, 0, 0]
    np.testing.assert_allclose(levels, np.array([0, 0, 1, 31]) / 32 - 0.5)


def test_noise_fills_a_level_and_no_more():
    rng = tf.random.Generator.from_seed(0)
    image = tf.fill([1000, 2, 2, 1], tf.constant(100, tf.uint8))
    values = (quantize_image(image, 5, rng.uniform(image.shape)) + 0.5) * 32
    level = 100 // 8
    assert np.min(values) >= level and np.max(values) < level + 1
    assert np.mean(values) == pytest.approx(level + 0.5, abs=0.02)
    assert np.std(values) == pytest.approx(12**-0.5, abs=0.02)


def test_images_that_an_agent_has_scaled_stay_as_they_are():
    scaled = quantize_image(EVERY_BYTE, 5, 0.5)
    keys = FloatKeys({"image": Space("uint8", EVERY_BYTE.shape[1:], 0, 255)})
    np.testing.assert_array_equal(keys.scale({"image": scaled})["image"], scaled)
    prepared = keys.scale({"image": EVERY_BYTE})["image"]
    np.testing.assert_array_equal(prepared, image_to_float(EVERY_BYTE))


# ---- Symlog.


def test_recorded_values():
    golden = Golden("v3_scalars")
    assert_close(symlog(golden["in/x"]), golden["symlog"])
    assert_close(symexp(golden["in/y"]), golden["symexp"])


def test_they_undo_each_other():
    x = np.float32([0, 1e-6, -1e-3, 0.5, -1, 300, -1e6])
    np.testing.assert_allclose(symexp(symlog(x)), x, rtol=1e-5)


def test_they_are_the_identity_near_zero():
    x = tf.constant([1e-4, -1e-4])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        compressed, expanded = symlog(x), symexp(x)
    np.testing.assert_allclose(tape.gradient(compressed, x), 1.0, rtol=1e-3)
    np.testing.assert_allclose(tape.gradient(expanded, x), 1.0, rtol=1e-3)


# ---- Norms.


EPSILON = 1e-3


def plain_rms_norm_silu(x, scale, axis):
    return tf.nn.silu(x / tf.sqrt(tf.reduce_mean(x**2, axis, keepdims=True) + EPSILON) * scale)


def plain(x, scale, offset):
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + EPSILON) * scale + offset


@pytest.mark.parametrize("leading", [(4,), (3, 2), (2, 3, 2)])
def test_values_and_gradients_are_those_of_the_definition(leading):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(2.0, 3.0, (*leading, 7)), tf.float32)
    scale, offset = (tf.constant(rng.normal(size=7), tf.float32) for _ in range(2))
    weight = tf.constant(rng.normal(size=x.shape), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, scale, offset])
        ours, expected = layer_norm(x, scale, offset, EPSILON), plain(x, scale, offset)
        our_sum, expected_sum = tf.reduce_sum(weight * ours), tf.reduce_sum(weight * expected)
    assert_close(ours, expected)
    for name, source in [("x", x), ("scale", scale), ("offset", offset)]:
        gradient = tape.gradient(our_sum, source)
        assert_close(gradient, tape.gradient(expected_sum, source), tolerance=1e-4, name=name)


@pytest.mark.parametrize("shape, axis", [((7,), -1), ((5, 7), -1), ((4, 1, 7), (0, 2))])
def test_rms_norm_and_silu_are_those_of_the_definition(shape, axis):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(1.0, 2.0, (4, 5, 7)), tf.float32)
    scale = tf.constant(rng.normal(size=shape), tf.float32)
    weight = tf.constant(rng.normal(size=x.shape), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, scale])
        ours, expected = rms_norm_silu(x, scale, EPSILON, axis), plain_rms_norm_silu(x, scale, axis)
        our_sum, expected_sum = tf.reduce_sum(weight * ours), tf.reduce_sum(weight * expected)
    assert_close(ours, expected)
    for name, source in [("x", x), ("scale", scale)]:
        gradient = tape.gradient(our_sum, source)
        assert_close(gradient, tape.gradient(expected_sum, source), tolerance=1e-4, name=name)


def test_gates_are_those_of_a_gru():
    rng = np.random.default_rng(0)
    cell = keras.layers.GRUCell(3)
    cell.build((None, 5))
    cell.bias.assign(rng.normal(size=(2, 9)))
    x, state, weight = (tf.constant(rng.normal(size=(4, n)), tf.float32) for n in (5, 3, 3))

    def ours():
        projected, recurrent = x @ cell.kernel + cell.bias[0], state @ cell.recurrent_kernel
        return gru_gates(projected, recurrent + cell.bias[1], state)

    sources = [x, state, *(variable.value for variable in cell.trainable_variables)]
    results = []
    for compute in (ours, lambda: cell(x, [state])[0]):
        with tf.GradientTape() as tape:
            tape.watch([x, state])
            output = compute()
            loss = tf.reduce_sum(weight * output)
        results.append([output, *tape.gradient(loss, sources)])
    for one, other in zip(*results, strict=True):
        assert_close(one, other, tolerance=1e-4)


def test_a_constant_input_gives_the_offset():
    offset = tf.constant([1.0, -2.0, 3.0])
    y = layer_norm(tf.fill([2, 3], 5.0), tf.ones(3), offset, EPSILON)
    np.testing.assert_allclose(y, [offset, offset], atol=1e-6)
