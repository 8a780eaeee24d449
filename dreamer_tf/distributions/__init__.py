"""Distributions of the papers, on top of TensorFlow Probability. All arithmetic is float32.

What is sampled in graphs takes its noise as an argument: whoever draws it decides where it comes
from, so a run can be repeated and recorded draws can be fed in.
"""

from dreamer_tf.distributions.bounded_normal import BoundedNormal
from dreamer_tf.distributions.gaussian import (
    diagonal_gaussian,
    gaussian_kl,
    pairwise_log_prob,
)
from dreamer_tf.distributions.one_hot import IndependentOneHot, OneHot
from dreamer_tf.distributions.tanh_normal import TanhNormal
from dreamer_tf.distributions.truncated_normal import TruncatedNormal
from dreamer_tf.distributions.two_hot import TwoHot, symexp_bins, two_hot
from dreamer_tf.distributions.unit_normal import PseudoHuber, SquaredError, UnitNormal

__all__ = [
    "BoundedNormal",
    "IndependentOneHot",
    "OneHot",
    "PseudoHuber",
    "SquaredError",
    "TanhNormal",
    "TruncatedNormal",
    "TwoHot",
    "UnitNormal",
    "diagonal_gaussian",
    "gaussian_kl",
    "pairwise_log_prob",
    "symexp_bins",
    "two_hot",
]
