"""The papers, in one or two files each, and in ``base.py`` what they share."""

from collections.abc import Mapping

from dreamer_tf.agents.base import Agent
from dreamer_tf.agents.dreamer import Dreamer
from dreamer_tf.agents.dreamerv2 import DreamerV2
from dreamer_tf.agents.dreamerv3 import DreamerV3
from dreamer_tf.agents.planet import PlaNet
from dreamer_tf.agents.random import RandomAgent
from dreamer_tf.config import Config
from dreamer_tf.specs import Space

AGENTS = {
    "dreamer": Dreamer,
    "dreamerv2": DreamerV2,
    "dreamerv3": DreamerV3,
    "planet": PlaNet,
    "random": RandomAgent,
}


def make(config: Config, obs_space: Mapping[str, Space], act_space: Mapping[str, Space]) -> Agent:
    """Creates the agent that ``config.agent`` names.

    Args:
      config: `dreamer_tf.config.Config`.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
    """
    return AGENTS[config.agent](config, obs_space, act_space)


__all__ = ["AGENTS", "Agent", "Dreamer", "DreamerV2", "DreamerV3", "PlaNet", "RandomAgent", "make"]
