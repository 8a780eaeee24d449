"""Normalisations against their definitions and against automatic differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.ops import layer_norm, rms_norm_silu
from tests.golden_data import assert_close

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


def test_a_constant_input_gives_the_offset():
    offset = tf.constant([1.0, -2.0, 3.0])
    y = layer_norm(tf.fill([2, 3], 5.0), tf.ones(3), offset, EPSILON)
    np.testing.assert_allclose(y, [offset, offset], atol=1e-6)
