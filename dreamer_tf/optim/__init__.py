"""Gradient steps."""

from dreamer_tf.optim.adam import DecayedAdam, adam
from dreamer_tf.optim.clipping import AdaptiveClip, GlobalNormClip
from dreamer_tf.optim.gradient_step import GradientStep
from dreamer_tf.optim.laprop import LaProp
from dreamer_tf.optim.schedules import Warmup

__all__ = [
    "AdaptiveClip",
    "DecayedAdam",
    "GlobalNormClip",
    "GradientStep",
    "LaProp",
    "Warmup",
    "adam",
]
