"""symlog and symexp against the V3 recordings, and as inverses."""

import numpy as np
import tensorflow as tf

from dreamer_tf.ops import symexp, symlog
from tests.golden_data import Golden, assert_close


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
