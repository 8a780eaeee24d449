"""The quick ways to a transposed convolution against Keras' own."""

import keras
import pytest
import tensorflow as tf

from dreamer_tf.nn.convolutions import UpsamplingConv
from tests.golden_data import assert_close


@pytest.mark.parametrize(
    ("size", "kernel", "filters"),
    [(1, 5, 16), (3, 6, 3), (5, 4, 1), (4, 2, 2), (3, 5, 3), (3, 6, 8)],
)
def test_values_and_gradients_are_those_of_the_transposed_convolution(size, kernel, filters):
    layer = UpsamplingConv(filters, kernel, bias_initializer="random_normal")
    layer.build((None, size, size, 4))
    x = tf.random.stateless_normal([2, size, size, 4], [0, 1])
    weight = tf.random.stateless_normal([2, *[2 * (size - 1) + kernel] * 2, filters], [0, 2])

    def results(call):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x)
            loss = tf.reduce_sum(weight * y)
        return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]

    plainly = keras.layers.Conv2DTranspose.call
    for one, other in zip(results(layer), results(lambda x: plainly(layer, x)), strict=True):
        assert_close(one, other)
