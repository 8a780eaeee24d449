"""Compression of numbers whose scale is not known beforehand.

Reference: arXiv:2301.04104, section "Robust predictions".
"""

import tensorflow as tf


def symlog(x):
    """sign(x) · ln(1 + |x|): near zero the identity, far from it the logarithm."""
    return tf.sign(x) * tf.math.log1p(tf.abs(x))


def symexp(x):
    """sign(x) · (exp(|x|) - 1), the inverse of `symlog`."""
    return tf.sign(x) * tf.math.expm1(tf.abs(x))
