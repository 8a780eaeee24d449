"""The learner's end of an environment that is a Ray actor, on whichever node has room.

An actor is a process of Ray's that loads this room and no TensorFlow. It serves the commands that a
worker process serves (``process.py``), so that seeds, episodes, deaths and notices are the same;
when its node goes away, that is the death of the environment, and the next one starts elsewhere.
"""

import dataclasses
import functools
import os
import sys
import time

from dreamer_tf.common.extras import install_hint
from dreamer_tf.envs import gl
from dreamer_tf.envs.errors import EnvDied, EnvError
from dreamer_tf.envs.host import LOOKING_SECONDS, Host, Notices
from dreamer_tf.envs.process import RemoteHost, pickle_constructor
from dreamer_tf.envs.worker import answer, load

_PATIENCE = 60  # seconds until a word about an actor that finds no room


@dataclasses.dataclass(frozen=True)
class RayNodes:
    """Where the actors run; calling it with a constructor starts one, as `ProcessHost` does.

    Attributes:
      address: Of a Ray cluster; ``auto``: the one that this machine belongs to; empty: a cluster of
        this machine alone, for as long as the process lives.
      cpus: Cores that a node sets aside for each environment.
      gpus: Likewise, for simulators that render or compute on them.
    """

    address: str = ""
    cpus: float = 1.0
    gpus: float = 0.0

    def __call__(self, constructor, limit=0.0, stopped=lambda: False):
        """Starts an actor; does not wait. Arguments as of `ProcessHost`."""
        wanted = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        return RayHost(constructor, _connect(self.address), wanted, limit, stopped)


def _connect(address):
    """The module ``ray``, connected.

    Raises:
      EnvError: If it is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise EnvError(
            f"env.workers is ray, and Ray is not here ({error}): {install_hint('ray')}"
        ) from error
    if not ray.is_initialized():
        # Actors find modules where this process does, if their node has them there.
        paths = os.pathsep.join(path for path in sys.path if path)
        try:
            ray.init(
                address or "local",
                runtime_env={"env_vars": {"PYTHONPATH": paths}},
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level="error",
            )
        except (ConnectionError, ValueError, TimeoutError) as error:
            raise EnvError(
                f"env.ray.address {address!r}: no Ray cluster there ({error})"
            ) from error
    return ray


class RayHost(RemoteHost):
    """One environment in a Ray actor, with the interface of `ProcessHost`."""

    def __init__(self, constructor, ray, wanted, limit, stopped):
        """Asks for an actor.

        Args:
          constructor: Called in the actor without arguments, returns an `Env`.
          ray: The module, connected.
          wanted: Dict of what a node sets aside for it, as Ray takes it.
          limit: As for `ProcessHost`.
          stopped: Likewise.

        Raises:
          EnvError: If the constructor cannot travel.
        """
        super().__init__(limit, stopped)
        pickled = pickle_constructor(constructor)
        self._ray, self._wanted = ray, wanted
        self._actor = _actor_class(ray).options(**wanted).remote()
        self._alive = self._actor.ping.remote()
        self._reply = self._actor.build.remote(pickled)

    def wait_until_ready(self, limit=None):
        """Waits for the constructor; see `RemoteHost.wait_until_ready`.

        Raises:
          EnvError: If the environment cannot be built, or no node has room for it.
          EnvDied: If it was built before, and cannot be now.
        """
        # Only for room: the environment itself may take its time.
        deadline = time.monotonic() + _PATIENCE
        while not self._ray.wait([self._alive], timeout=LOOKING_SECONDS)[0] and not self._stopped():
            if time.monotonic() < deadline:
                continue
            free = self._ray.available_resources()
            raise EnvError(
                f"no Ray node had room for an environment within {_PATIENCE} seconds: it wants "
                f"{self._wanted['num_cpus']:g} cores, {self._wanted['num_gpus']:g} GPUs (env.ray), "
                f"and of {self._ray.cluster_resources().get('CPU', 0):g} "
                f"cores {free.get('CPU', 0):g} are free"
            )
        return super().wait_until_ready(limit)

    def send(self, command, argument=None):
        """Sends a command; see `Host.call`."""
        self._command = command
        self._reply = self._actor.call.remote(command, argument)

    def receive(self):
        """The reply to the last command; raises like `ProcessHost.receive`."""
        self._wait()
        try:
            reply = self._ray.get(self._reply)
        except self._ray.exceptions.RayError as error:
            summary = str(error).strip().splitlines()[0]
            raise EnvDied(f"its Ray actor is gone ({type(error).__name__}: {summary})") from error
        return self._take_reply(reply)

    def _has_reply(self, seconds):
        return bool(self._ray.wait([self._reply], timeout=seconds)[0])

    def _kill(self):
        self._ray.kill(self._actor)

    def close(self):
        """Ends the actor; `send` closed the environment."""
        self._ray.wait([self._reply], timeout=5)
        self._kill()


@functools.cache
def _actor_class(ray):
    return ray.remote(max_restarts=0)(Actor)


class Actor:
    """What runs on the node: one environment that answers commands as a worker process does."""

    def __init__(self):
        """Has no environment yet."""
        self._notices = Notices()
        self._host = None

    def ping(self):
        """Answers once a node had room."""

    def build(self, pickled):
        """Builds the environment from its pickled constructor; returns the reply."""
        try:
            gl.choose()
            self._host = Host(load(pickled), self._notices)
        except EnvError as error:
            return "error", error.problems, self._notices.take()
        return "ok", self._host.spaces, self._notices.take()

    def call(self, command, argument):
        """Runs a command, see `Host.call`; returns the reply."""
        return (*answer(self._host, command, argument), self._notices.take())
