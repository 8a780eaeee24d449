"""What trains where nobody says what: DreamerV3, in a size that suits the machine."""

PRESET = "dreamerv3_gym"
"""The preset for an environment of one's own."""


def choose_size(obs_space, on_gpu):
    """The preset that goes after ``PRESET``.

    It sets neither ``env`` nor ``steps``: the environments run already when it is chosen.

    Args:
      obs_space: Dict of observation key to ``Space``.
      on_gpu: Whether TensorFlow has a GPU to compute on.

    Returns:
      Name of the preset, and why it was chosen.
    """
    if not on_gpu:
        return "dreamerv3_cpu", "no GPU"
    if any(space.is_image for space in obs_space.values()):
        return "size50m", "a GPU, and images to see"
    return "size12m", "a GPU, and no images to see"
