"""Distributions of the papers, on top of TensorFlow Probability. All arithmetic is float32.

What is sampled in graphs takes its noise as an argument: whoever draws it decides where it comes
from, so a run can be repeated and recorded draws can be fed in.
"""

from dreamer_tf.distributions.continuous import (
    BoundedNormal,
    PseudoHuber,
    SquaredError,
    TanhNormal,
    TruncatedNormal,
    UnitNormal,
    diagonal_gaussian,
    gaussian_kl,
    pairwise_log_prob,
)
from dreamer_tf.distributions.discrete import (
    IndependentOneHot,
    OneHot,
    TwoHot,
    mixed_two_hot,
    symexp_bins,
    two_hot,
)

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
    "mixed_two_hot",
    "pairwise_log_prob",
    "symexp_bins",
    "two_hot",
]
