"""Which processes learn together, and what must be settled before TensorFlow starts.

Every host runs the same command. The first process (the chief) acts, keeps the replay and writes
the run folder; the others only compute their share of each update (`replicas.follow`).
"""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from dreamer_tf import config as configs
from dreamer_tf.config.remarks import AGENTS

if TYPE_CHECKING:
    from dreamer_tf.agents.base import Agent
    from dreamer_tf.training.replicas import Team


_MOST_TASKS = 4096  # of a node


class ReplicaLostError(RuntimeError):
    """A replica on another host ended, so that an update could not be finished."""


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Processes that learn together.

    Attributes:
      addresses: ``host:port`` of each; the first is the chief.
      index: Which of them this one is.
    """

    addresses: tuple[str, ...]
    index: int

    @property
    def is_chief(self):
        """Whether this process acts, saves and logs."""
        return self.index == 0

    @property
    def address(self):
        """The address of this process."""
        return self.addresses[self.index]


def find_hosts(config: configs.Config) -> Hosts | None:
    """The processes that learn together, from what the launcher says; None: this one alone.

    Args:
      config: `Config`; reads ``run.hosts``.

    Raises:
      ConfigError: If what the launcher says cannot be used.
    """
    hosts = {"tf_config": _from_tf_config, "slurm": _from_slurm}[config.run.hosts]()
    return None if hosts is None or len(hosts.addresses) == 1 else hosts


def _from_tf_config():
    text = os.environ.get("TF_CONFIG")
    if not text:
        return None
    try:
        described = json.loads(text)
        cluster, task = described.get("cluster", {}), described.get("task", {})
        kinds = [kind for kind in ("chief", "worker") if cluster.get(kind)]
        addresses = [address for kind in kinds for address in cluster[kind]]
        first = len(cluster["chief"]) if task.get("type") == "worker" and "chief" in kinds else 0
        hosts = Hosts(tuple(addresses), first + int(task.get("index", 0)))
    except (ValueError, TypeError, AttributeError) as error:
        raise configs.ConfigError(f"TF_CONFIG is not what TensorFlow describes: {error}") from error
    if addresses and task.get("type") not in kinds:
        raise configs.ConfigError(
            f"TF_CONFIG: the task is of type {task.get('type')!r}, and those that learn here are "
            f"{' and '.join(kinds)}"
        )
    return hosts if addresses else None


def _from_slurm():
    import tensorflow as tf

    try:
        # It would deal out GPUs, too, and not work without; Slurm shows each process its own.
        resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
            gpus_per_node=_MOST_TASKS, gpus_per_task=1, auto_set_gpu=False
        )
        addresses = resolver.cluster_spec().as_dict()["worker"]
    except (KeyError, RuntimeError, ValueError) as error:
        raise configs.ConfigError(
            f"run.hosts is slurm, but this is no step of a Slurm job ({error!r}): start it by srun"
        ) from error
    return Hosts(tuple(addresses), resolver.get_task_info()[1])


def follow(config: configs.Config, hosts: Hosts, make_agent: Callable[..., "Agent"]) -> "Agent":
    """What every process but the chief does, see `replicas.follow`."""
    from dreamer_tf.training import replicas

    return replicas.follow(config, hosts, make_agent)


def start_team(
    config: configs.Config,
    hosts: Hosts | None,
    stack: contextlib.ExitStack,
    tell: Callable[[str], None],
) -> "Team | None":
    """The devices of a run that has several, before anything is computed; None: it has one.

    Args:
      config: `Config`.
      hosts: As `find_hosts` found them.
      stack: Closes the team.
      tell: Function of a text, told what the devices are.
    """
    if config.run.devices == 1 and hosts is None:
        return None
    from dreamer_tf.training.replicas import Team

    team = Team(config, hosts)
    stack.callback(team.close)
    tell(team.description)
    return team


def count_replicas(config: configs.Config, hosts: Hosts | None) -> int:
    """How many replicas share each update.

    Args:
      config: `Config`.
      hosts: As `find_hosts` found them.

    Raises:
      ConfigError: If there are several, and the batch cannot be split or an option knows one only.
    """
    replicas = config.run.devices * (len(hosts.addresses) if hosts else 1)
    if replicas > 1:
        _check(config, replicas)
    return replicas


def _check(config, replicas):
    size = config.replay.batch_size
    if size % replicas:
        near = [n for n in (size - size % replicas, size + replicas - size % replicas) if n]
        raise configs.ConfigError(
            f"replay.batch_size is {size}, the global batch, which {replicas} replicas cannot "
            f"share alike; {' or '.join(map(str, near))} sequences could be"
        )
    if config.run.overlap:
        raise configs.ConfigError(
            f"run.overlap is for one device, and {replicas} replicas learn here: their updates are "
            f"made in turn with acting; set it to false"
        )
    if config.jit:
        raise configs.ConfigError(
            "jit compiles the update for one device; with several, set --jit false"
        )
    # A class of one's own may derive from DreamerV3.
    is_other = config.agent in AGENTS - {"dreamerv3"}
    if not is_other and config.dreamerv3.objective == "dreamerpro":
        raise configs.ConfigError(
            "dreamerv3.objective dreamerpro assigns all rows of a batch to prototypes together and "
            "learns on one device only; reconstruction, r2 and infonce learn on several"
        )
