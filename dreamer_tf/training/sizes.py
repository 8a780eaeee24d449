"""The size of an agent that suits the machine, where nobody says what to train."""

from collections.abc import Mapping
from typing import Any

from dreamer_tf import config as configs
from dreamer_tf.specs import Space


def suitable_size(obs_space: Mapping[str, Space], on_gpu: bool) -> tuple[str, str]:
    """The preset that goes after `config.OWN_ENV_PRESET`.

    It sets neither ``env`` nor ``steps``: the environments run already when it is chosen.

    Args:
      obs_space: Dict of observation key to `Space`.
      on_gpu: Whether TensorFlow has a GPU to compute on.

    Returns:
      Name of the preset, and why it was chosen.
    """
    if not on_gpu:
        return "dreamerv3_quick", "no GPU"
    if any(space.is_image for space in obs_space.values()):
        return "size50m", "a GPU, and images to see"
    return "size12m", "a GPU, and no images to see"


def choose_size_for(
    resolved: configs.Resolved, obs_space: Mapping[str, Space], terminal: Any
) -> configs.Resolved:
    """Adds the preset that suits the machine, and says so.

    Args:
      resolved: `config.Resolved`.
      obs_space: Dict of observation key to `Space`.
      terminal: Where it is said.

    Returns:
      The `config.Resolved` with it.
    """
    import tensorflow as tf

    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    preset, reason = suitable_size(obs_space, on_gpu)
    names = f"{configs.OWN_ENV_PRESET} {preset}"
    terminal.message(f"no presets given, {reason}: the same as --configs {names}")
    return configs.add_preset(resolved, preset)
