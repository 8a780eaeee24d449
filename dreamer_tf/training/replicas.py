"""One update on several devices: its batch, draws and carry split, its outputs joined.

Each device has an agent of its own. All of them begin alike and make the same step from the same
gradients (`mean_over_replicas`), so they stay equal to the bit, and the first one stands for
all of them: it acts, and its weights are what is saved. Draws are made for the whole batch, so that
every row gets those that one device would have given it.
"""

import contextlib
import functools
import logging
import pathlib
import pickle
import re
import tempfile

import numpy as np
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.ops import (
    gather_over_replicas,
    mean_over_replicas,
    replica_count,
    replica_index,
)
from dreamer_tf.runs.machine import generators_kept
from dreamer_tf.training import stopping
from dreamer_tf.training.hosts import ReplicaLostError, count_replicas, meet

_LOGGER = logging.getLogger(__name__)


class ReplicatedUpdate:
    """The update of one agent, made by several that are equal and stay so."""

    def __init__(self, agents, strategy):
        """Takes the agents.

        Args:
          agents: List of `dreamer_tf.agents.Agent`, one for each device of this process, built on
            it; see `make_agents`.
          strategy: ``tf.distribute.Strategy`` over these devices, and those of other processes.
        """
        self.agents = tuple(agents)
        self._strategy = strategy
        self._draw_and_update = tf.function(self._draw_and_update, autograph=False)

    def train_step(self, batch, carry):
        """As `Agent.train_step`, with the global batch ``[B, T, ...]`` and the carry of it."""
        return self._draw_and_update(batch, carry)

    def trace_update(self, batch_size, length):
        """Nothing: the first `train_step` traces, for all devices one after the other."""
        del batch_size, length

    def _draw_and_update(self, batch, carry):
        return self.update(batch, self.agents[0].update_noise(*batch["reward"].shape), carry)

    def update(self, batch, noise, carry=()):
        """As `Agent.update`, with batch, draws and carry of all rows."""
        outputs = self._strategy.run(self._update_share, (batch, noise, carry))
        # They are the same everywhere.
        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_local_results(value)[0], outputs
        )

    def _update_share(self, batch, noise, carry):
        """What one replica does, from all rows to outputs for all rows."""
        replica, count = replica_index(), replica_count()
        agent = self.agents[replica % len(self.agents)]
        share = functools.partial(_share, replica, count)
        noise = {key: share(draws, agent.noise_axes.get(key, 1)) for key, draws in noise.items()}
        metrics, after = agent.update(share(batch, 0), noise, share(carry, 0))
        means = tf.unstack(mean_over_replicas(tf.stack(list(metrics.values()))))
        after = {key: gather_over_replicas(after[key]) for key in after}
        return dict(zip(metrics, means, strict=True)), after or ()


def _share(replica, count, tensors, axis):
    """The part of one of ``count`` replicas in tensors of all rows."""

    def split(tensor):
        if tensor.shape[axis] % count:
            raise ValueError(f"{count} replicas cannot share {tensor.shape} along axis {axis}")
        return tf.split(tensor, count, axis)[replica]

    return tf.nest.map_structure(split, tensors)


def local_strategy(count):
    """A strategy over devices of this machine: its GPUs, or where it has none, logical CPUs.

    Args:
      count: How many devices.

    Raises:
      ConfigError: If there are not as many.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        if len(gpus) < count:
            raise configs.ConfigError(
                f"run.devices is {count}, and TensorFlow has {len(gpus)} GPUs here"
            )
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(count)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    if len(tf.config.get_logical_device_configuration(cpu) or [None]) < count:
        parts = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError as error:
            raise configs.ConfigError(
                f"run.devices is {count}, but TensorFlow already runs in this process, with one "
                f"CPU; start the run in a process of its own"
            ) from error
    # The collectives that TensorFlow takes for CPUs by itself mix up what two strategies of one
    # process reduce.
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(count)],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def cluster_strategy(hosts, count, stopped=lambda: False):
    """A strategy over the devices of several hosts; waits until all of them are there.

    Args:
      hosts: `Hosts`.
      count: How many devices of each.
      stopped: Function without arguments: whether the run is to stop.

    Raises:
      ConfigError: If this host has not as many.
      EnvAbandoned: If the run is to stop before all are there.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus or [None]) < count:
        raise configs.ConfigError(
            f"run.devices is {count}, and TensorFlow has {len(gpus)} GPUs on {hosts.address}; "
            f"without GPUs each of several hosts has one device, its CPU"
        )
    meet(hosts, stopped)
    tf.config.set_visible_devices(gpus[:count], "GPU")
    # TensorFlow's own resolvers read the same variables, but not every form of them.
    spec = tf.train.ClusterSpec({"worker": list(hosts.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=hosts.index, rpc_layer="grpc"
    )
    with stopping.ending_at_once():  # TensorFlow takes SIGTERM for itself; it is taken back here.
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


class Team:
    """The devices that learn together, of this host and of others, and who makes an update on them.

    The process that has one is the chief; the other hosts `follow`. What it says to them is, once,
    the options and all weights, and for every update the batch, the carry, and where the random
    generator stands.
    """

    def __init__(self, config, hosts, stopped=lambda: False):
        """Starts the devices, and waits for the other hosts.

        Args:
          config: `Config`.
          hosts: `Hosts`; None: this one alone.
          stopped: Function without arguments: whether the run is to stop.

        Raises:
          ConfigError: If there are not as many devices, or the batch cannot be shared by them.
          EnvAbandoned: If the run is to stop before the other hosts are there.
        """
        replicas = count_replicas(config, hosts)
        if hosts is None:
            self._strategy, self._channel = local_strategy(config.run.devices), None
        else:
            self._strategy = cluster_strategy(hosts, config.run.devices, stopped)
            self._channel = Channel(hosts)
        self._update = None
        self.description = (
            f"{replicas} replicas ({', '.join(map(_short, self._strategy.extended.worker_devices))}"
            f"{f' on each of {len(hosts.addresses)} hosts' if hosts else ''}), each with "
            f"{config.replay.batch_size // replicas} of the {config.replay.batch_size} sequences "
            f"of a batch"
        )

    def lead(self, agent, config, make_agent):
        """Builds agents equal to one on all devices.

        Args:
          agent: `Agent`, built and restored.
          config: `Config`.
          make_agent: As `session.make_agent`.

        Returns:
          What learns: has `train_step` and `trace_update`, as an `Agent`.
        """
        description = config, agent.obs_space, agent.act_space
        make = functools.partial(make_agent, *description)
        agents = make_agents(agent, make, self._strategy)
        self._update = ReplicatedUpdate(agents, self._strategy)
        if self._channel is None:
            return self._update
        self._say("build", (*description, _read_weights(agent)))
        return self

    def close(self):
        """Sends the other hosts home; one that is lost by then is told of, and ends nothing."""
        channel, self._channel = self._channel, None
        try:
            if channel:
                channel.send(("end", None))
        except _LOSS as error:
            _LOGGER.warning("a process that learned along was gone at the end (%s)", _reason(error))

    def trace_update(self, batch_size, length):
        """See `ReplicatedUpdate.trace_update`."""
        self._update.trace_update(batch_size, length)

    def train_step(self, batch, carry):
        """As `Agent.train_step`, together with the other hosts.

        Raises:
          ReplicaLostError: If one of them is gone.
        """
        state = self._update.agents[0].rng.state
        self._say("update", tf.nest.map_structure(lambda x: x.numpy(), (state, batch, carry)))
        with self._noticing_loss():
            metrics, after = self._update.train_step(batch, carry)
            float(metrics["nonfinite"])  # A lost host shows where numbers are read: here.
        return metrics, after

    def _say(self, command, content):
        with self._noticing_loss():
            self._channel.send((command, content))

    @contextlib.contextmanager
    def _noticing_loss(self):
        try:
            yield
        except _LOSS as error:
            self._channel = None
            raise ReplicaLostError(_describe_loss(error)) from error


def _short(device):
    """``GPU:0`` of a device's whole name."""
    return device.rpartition("device:")[2].lstrip("/")


_LOSS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.InternalError,
    tf.errors.UnknownError,
    tf.errors.DeadlineExceededError,
)


def _reason(error):
    return re.sub(r"\{\{.*?\}\}\s*", "", error.message.splitlines()[0])  # Names of operations.


def _describe_loss(error):
    return (
        f"a process that learned along is gone ({_reason(error)}). The update is "
        f"not finished, and what was learned since the last checkpoint is lost; the same command, "
        f"on as many hosts or on others, goes on from there."
    )


def follow(config, hosts, make_agent):
    """Computes this host's share of every update until the chief says that the run has ended.

    Args:
      config: `Config` of this process; reads ``run``. All else the chief says.
      hosts: `Hosts`.
      make_agent: As `session.make_agent`.

    Returns:
      The agent, equal to the chief's.

    Raises:
      ReplicaLostError: If another process is gone.
    """
    strategy = cluster_strategy(hosts, config.run.devices)
    channel, update, agent = Channel(hosts), None, None
    try:
        with stopping.ending_at_once():  # The chief may take long, or never come.
            command, content = channel.receive()
        # From here on it decides when to stop: it finishes its step and saves first.
        stopping.ignore()
        while command != "end":
            if command == "build":
                *described, weights = content
                make = functools.partial(make_agent, *described)
                with tf.device(strategy.extended.worker_devices[0]):
                    agent = make()
                _write_weights(agent, weights)
                agents = make_agents(agent, make, strategy)
                update = ReplicatedUpdate(agents, strategy)
            else:
                state, batch, carry = tf.nest.map_structure(tf.convert_to_tensor, content)
                agent.rng.state.assign(state)
                metrics, _ = update.train_step(batch, carry)
                float(metrics["nonfinite"])
            command, content = channel.receive()
    except _LOSS as error:
        raise ReplicaLostError(_describe_loss(error)) from error
    return agent


class Channel:
    """Python values from the chief to all others, by TensorFlow's own connection between hosts.

    A collective operation of one number (its instance) has one shape for good, so that the length
    of a message, which is said first, is the number of the operation that carries it.
    """

    _GROUP, _LENGTH, _FIRST_CONTENT = 7001, 1, 2

    def __init__(self, hosts):
        """Nothing is sent yet.

        Args:
          hosts: `Hosts`, whose strategy is made already.
        """
        self._group = {"group_size": len(hosts.addresses), "group_key": self._GROUP}

    def send(self, value):
        """Says a value to all others; returns when they took it."""
        content = np.frombuffer(_padded(pickle.dumps(value, protocol=5)), np.int32)
        self._give(self._LENGTH, np.array([content.size], np.int32))
        self._give(self._FIRST_CONTENT + content.size, content)

    def receive(self):
        """What the chief says next."""
        size = int(self._take(self._LENGTH, 1)[0])
        return pickle.loads(self._take(self._FIRST_CONTENT + size, size).tobytes())

    def _give(self, instance, array):
        with tf.device("CPU:0"):
            tf.raw_ops.CollectiveBcastSendV2(
                input=tf.constant(array), instance_key=instance, **self._group
            )

    def _take(self, instance, size):
        with tf.device("CPU:0"):
            return tf.raw_ops.CollectiveBcastRecvV2(
                T=tf.int32, shape=tf.constant([size]), instance_key=instance, **self._group
            ).numpy()


def _padded(data):
    return data + bytes(-len(data) % 4)  # Pickle's end is marked, what follows is not read.


def _read_weights(agent):
    """All variables of an agent: dict of file name to content."""
    with tempfile.TemporaryDirectory() as folder:
        tf.train.Checkpoint(agent=agent).write(str(pathlib.Path(folder) / _WEIGHTS))
        return {path.name: path.read_bytes() for path in pathlib.Path(folder).iterdir()}


def _write_weights(agent, files):
    """Sets all variables of an agent to what `_read_weights` read from one like it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (pathlib.Path(folder) / name).write_bytes(content)
        path = str(pathlib.Path(folder) / _WEIGHTS)
        tf.train.Checkpoint(agent=agent).read(path).assert_consumed()


def make_agents(first, make_agent, strategy):
    """Agents for all devices of this process, equal to the first one.

    Args:
      first: `Agent`, built and restored.
      make_agent: Function without arguments that builds another one.
      strategy: ``tf.distribute.Strategy``.

    Returns:
      List of agents, ``first`` among them.
    """
    agents, weights = [first], _read_weights(first)
    with generators_kept():
        for device in strategy.extended.worker_devices[1:]:
            with tf.device(device):
                agents.append(make_agent())
            _write_weights(agents[-1], weights)
    return agents


_WEIGHTS = "weights"
