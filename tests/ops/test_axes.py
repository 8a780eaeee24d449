"""Leading axes merged and restored."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.ops import merge_leading, restore_leading


@pytest.mark.parametrize("leading", [(4,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("event", [(5,), (2, 2, 3)])
def test_merging_and_restoring_are_inverse(leading, event):
    x = tf.reshape(tf.range(np.prod(leading + event)), leading + event)
    merged = merge_leading(x, len(event))
    assert merged.shape == (np.prod(leading), *event)
    np.testing.assert_array_equal(restore_leading(merged, x, len(event)), x)
    narrower = merged[..., :1]
    assert restore_leading(narrower, x, len(event)).shape == (*leading, *event[:-1], 1)


def test_leading_axes_may_be_unknown():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32)])
    def double(x):
        merged = merge_leading(x, 1)
        return restore_leading(2.0 * merged, x, 1)

    np.testing.assert_array_equal(double(tf.ones([4, 2, 3])), 2.0 * np.ones([4, 2, 3]))
