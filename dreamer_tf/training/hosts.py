"""Which processes learn together, and what must be settled before TensorFlow starts.

Every host runs the same command. The first process (the chief) acts, keeps the replay and writes
the run folder; the others only compute their share of each update (`replicas.follow`).
"""

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dreamer_tf import config as configs
from dreamer_tf.config.remarks import AGENTS
from dreamer_tf.envs import EnvAbandoned

if TYPE_CHECKING:
    from dreamer_tf.agents.base import Agent
    from dreamer_tf.training.replicas import Team


_MOST_TASKS = 4096  # of a node
_LOOKING_SECONDS, _ANSWER_SECONDS = 0.2, 2.0


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


def meet(hosts: Hosts, stopped: Callable[[], bool] = lambda: False) -> None:
    """Waits until all processes are there, before TensorFlow connects them.

    TensorFlow waits, too, but hears no signal meanwhile and lets no other thread go on. So the
    chief looks whether all others listen at their addresses; they do, and look whether TensorFlow
    listens at the chief's.

    Args:
      hosts: Whom to wait for, and which of them this one is.
      stopped: Function without arguments: whether the run is to stop.

    Raises:
      EnvAbandoned: If it is.
    """
    with contextlib.ExitStack() as stack:
        left = list(hosts.addresses[1:])
        if not hosts.is_chief:
            left = [hosts.addresses[0]]
            stack.enter_context(_listening(hosts.address))
        while left := [address for address in left if not _is_heard(address)]:
            if stopped():
                raise EnvAbandoned(f"nobody answered at {', '.join(left)}")
            time.sleep(_LOOKING_SECONDS)


def _listening(address):
    """A socket at the port of an address, which TensorFlow takes over once it is closed."""
    is_dual = socket.has_dualstack_ipv6()
    place = "", _split(address)[1]
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        return socket.create_server(place, family=family, dualstack_ipv6=is_dual)
    except OSError as error:
        raise configs.ConfigError(
            f"this process cannot listen at {address}, which is its own of those that learn "
            f"together: {error.strerror}"
        ) from error


def _is_heard(address):
    try:
        socket.create_connection(_split(address), timeout=_ANSWER_SECONDS).close()
    except OSError:  # Nobody listens yet, or the name is not known yet.
        return False
    return True


def _split(address):
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def follow(config: configs.Config, hosts: Hosts, make_agent: Callable[..., "Agent"]) -> "Agent":
    """What every process but the chief does, see `replicas.follow`."""
    from dreamer_tf.training import replicas

    return replicas.follow(config, hosts, make_agent)


def start_team(
    config: configs.Config,
    hosts: Hosts | None,
    stack: contextlib.ExitStack,
    tell: Callable[[str], None],
    stopped: Callable[[], bool] = lambda: False,
) -> "Team | None":
    """The devices of a run that has several, before anything is computed; None: it has one.

    Args:
      config: `Config`.
      hosts: As `find_hosts` found them.
      stack: Closes the team.
      tell: Function of a text, told what the devices are.
      stopped: Function without arguments: whether the run is to stop.

    Raises:
      EnvAbandoned: If it is, before all hosts are there.
    """
    if config.run.devices == 1 and hosts is None:
        return None
    from dreamer_tf.training.replicas import Team

    team = Team(config, hosts, stopped)
    stack.callback(team.close)
    tell(team.description)
    return team


def check_given(given: configs.Config, config: configs.Config, hosts: Hosts | None) -> None:
    """Refuses what this process has from the run folder and the others, who have none, lack.

    Args:
      given: What was given now, as to every process.
      config: What this process uses: with all that the run was started with.
      hosts: As `find_hosts` found them by ``given``.

    Raises:
      ConfigError: If the others would not be found, or would take another number of devices.
    """
    names = ("hosts", "devices") if hosts else ("hosts",)
    kept = [name for name in names if getattr(given.run, name) != getattr(config.run, name)]
    if kept:
        words, others = (
            " ".join(f"--run.{name} {getattr(options.run, name)}" for name in kept)
            for options in (config, given)
        )
        raise configs.ConfigError(
            f"the run was started with {words}, which only the process that has its folder can "
            f"know: repeat {words} for every process, or give {others} to go on with that"
        )


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
