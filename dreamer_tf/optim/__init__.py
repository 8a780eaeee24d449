"""Gradient steps."""

from dreamer_tf.optim.adam import DecayedAdam
from dreamer_tf.optim.gradient_step import AdaptiveClip, GlobalNormClip, GradientStep
from dreamer_tf.optim.laprop import LaProp, Warmup, learning_rate

__all__ = [
    "AdaptiveClip",
    "DecayedAdam",
    "GlobalNormClip",
    "GradientStep",
    "LaProp",
    "Warmup",
    "learning_rate",
]
