"""Scaling and quantisation of images."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn.multikey import FloatKeys
from dreamer_tf.ops import float_to_image, image_to_float, quantize_image
from dreamer_tf.specs import Space

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
