"""The papers, in one or two files each, and in ``base.py`` what they share."""

from collections.abc import Callable, Mapping

from dreamer_tf.agents.base import Agent
from dreamer_tf.agents.dreamer import Dreamer
from dreamer_tf.agents.dreamerv2 import DreamerV2
from dreamer_tf.agents.dreamerv3 import DreamerV3
from dreamer_tf.agents.planet import PlaNet
from dreamer_tf.agents.random import RandomAgent
from dreamer_tf.common import own
from dreamer_tf.config import Config
from dreamer_tf.specs import Space

AGENTS = {
    "dreamer": Dreamer,
    "dreamerv2": DreamerV2,
    "dreamerv3": DreamerV3,
    "planet": PlaNet,
    "random": RandomAgent,
}


def make(
    config: Config,
    obs_space: Mapping[str, Space],
    act_space: Mapping[str, Space],
    kind: Callable[..., Agent] | None = None,
) -> Agent:
    """Creates the agent that ``config.agent`` names.

    Args:
      config: `dreamer_tf.config.Config`.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
      kind: Its class; None: it is found by its name.

    Raises:
      ValueError: If there is no such agent, or it cannot serve these spaces.
    """
    if "action" in obs_space:
        raise ValueError(
            "an observation must not be called 'action', as the vector of all actions is in batches"
        )
    return (kind or find(config.agent))(config, obs_space, act_space)


def find(name: str) -> Callable[..., Agent]:
    """The class of an agent.

    Args:
      name: One of this project, one that an installed package offers in the entry-point group
        ``dreamer_tf.agents``, or ``module:name``.

    Raises:
      ValueError: If there is none of that name, or it is no `Agent`.
    """
    if name in AGENTS:
        return AGENTS[name]
    others = own.offered(own.AGENTS_GROUP)
    try:
        found = others[name].load() if name in others else own.find(name)
    except LookupError as error:
        raise ValueError(
            f"{error.args[0]}. A class of your own that no module has under this name is handed "
            f"in: dreamer_tf.load(logdir, agent=MyAgent), and so to train and evaluate"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise ValueError(f"{name!r} is {found!r}; expected a subclass of dreamer_tf.agents.Agent")
    return found


__all__ = [
    "AGENTS",
    "Agent",
    "Dreamer",
    "DreamerV2",
    "DreamerV3",
    "PlaNet",
    "RandomAgent",
    "find",
    "make",
]
