"""Weights before training."""

import keras


def fan_in_normal(scale=1.0):
    """Normal draws of variance ``scale² / fan_in``, none beyond two standard deviations.

    The fan-in is the product of all axes but the last: for a kernel in blocks the width of the
    whole input, not of one block. (The normal that is cut has a standard deviation of 1.1368
    times that, which makes up for what the cut removes.)

    Args:
      scale: Standard deviation times √fan-in; 0: zeros.

    Returns:
      Keras initialiser.
    """
    if scale == 0:
        return keras.initializers.Zeros()
    return keras.initializers.VarianceScaling(scale**2, "fan_in", "truncated_normal")
