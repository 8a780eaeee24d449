"""Agents from run folders: whole, or component by component into another agent."""

import logging
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dreamer_tf import config as configs
from dreamer_tf.runs import run_folder
from dreamer_tf.runs.errors import RunFolderError
from dreamer_tf.training import session

if TYPE_CHECKING:
    from dreamer_tf.agents.base import Agent

_LOGGER = logging.getLogger(__name__)
LOADED = "loaded"
"""What a report of `load_components` says of a component that fitted."""


def load_agent(
    logdir: str | os.PathLike,
    checkpoint: int | str | None = None,
    agent: "type[Agent] | None" = None,
    acting: Mapping[str, Any] | Sequence[str] = (),
) -> "Agent":
    """Loads the agent of a run from a checkpoint, see `dreamer_tf.load`."""
    return load_saved(logdir, checkpoint, agent, acting)[0]


def load_saved(
    logdir: str | os.PathLike,
    checkpoint: int | str | None = None,
    agent: "type[Agent] | None" = None,
    acting: Mapping[str, Any] | Sequence[str] = (),
) -> "tuple[Agent, dict[str, Any]]":
    """As `load_agent`; with the state that was saved beside the agent."""
    # Imported here: this module can be imported without TensorFlow.
    from dreamer_tf.runs.checkpoint import Checkpoints

    obs_space, act_space = run_folder.load_spaces(logdir)
    config = configs.change_acting(configs.read(logdir), acting)
    loaded = session.make_agent(config, obs_space, act_space, kind=agent)
    folder = pathlib.Path(logdir) / "checkpoints"
    checkpoints = Checkpoints(folder, agent=loaded)
    restore_one, newest = checkpoints.restore_one, checkpoint is None
    state = checkpoints.restore() if newest else restore_one(checkpoint)
    if state is None:
        raise RunFolderError(f"there is no whole checkpoint in {folder}")
    native = run_folder.load_native_actions(logdir)
    if native is not None:
        loaded.native_act_space = native
    return loaded, state


def load_components(
    agent: "Agent",
    logdir: str | os.PathLike,
    components: Sequence[str] | None = None,
    *,
    checkpoint: int | str | None = None,
) -> dict[str, str]:
    """Gives an agent the weights of another run's agent, each component where it fits as a whole.

    Optimisers start anew, and so do running statistics, such as the range of returns.

    Args:
      agent: `dreamer_tf.agents.Agent`, of any task and size.
      logdir: Run folder of the other one.
      components: Names among ``agent.networks``, such as ``encoder``; None: all that it has.
      checkpoint: As for `dreamer_tf.load`.

    Returns:
      Dict of component to ``loaded``, or to why it stays as it was.

    Raises:
      ValueError: If the agent has no component of a name.
      RunFolderError: The folder holds no run, or no checkpoint yet.
    """
    mine = agent.networks
    unknown = sorted(set(components or ()) - mine.keys())
    if unknown:
        raise ValueError(f"components: the agent has {', '.join(mine)}; got {', '.join(unknown)}")
    theirs = load_agent(logdir, checkpoint).networks
    report = {}
    for name in components or mine:
        report[name] = _misfit(mine[name], theirs.get(name)) or LOADED
        if report[name] == LOADED:
            mine[name].set_weights(theirs[name].get_weights())
    _begin_copies(agent, [mine[name] for name in report if report[name] == LOADED])
    return report


def _begin_copies(agent, loaded):
    """Lets slow copies that are no component themselves begin with what they follow."""
    from dreamer_tf.behaviors import SlowCopy

    components = list(agent.networks.values())
    weights = {id(weight) for network in loaded for weight in network.variables}
    copies = [module for module in agent.submodules if isinstance(module, SlowCopy)]
    for copy in copies:
        if copy.network not in components and weights.issuperset(map(id, copy.followed)):
            copy.begin()


def start_from(agent, logdir, tell):
    """Gives a new run's agent what fits of an earlier one, and tells what did."""
    report = load_components(agent, logdir)
    for name, outcome in report.items():
        tell(f"{name} of {logdir}: {outcome}")
    if LOADED not in report.values():
        raise RunFolderError(
            f"run.from_run: nothing of {logdir} fits the agent, which has {', '.join(report)}"
        )


def _misfit(mine, theirs):
    """Why the weights of one network do not fit into another; None: they do."""
    if theirs is None:
        return "not there"
    pairs = list(zip(mine.weights, theirs.weights, strict=False))
    for weight, other in pairs:
        if weight.shape != other.shape:
            return (
                f"does not fit: {weight.path} is {tuple(weight.shape)} here and "
                f"{tuple(other.shape)} there"
            )
    if len(mine.weights) != len(theirs.weights):
        return f"does not fit: {len(mine.weights)} weights here, {len(theirs.weights)} there"
    return None
