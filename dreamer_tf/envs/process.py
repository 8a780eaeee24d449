"""The parent's end of an environment in a process of its own."""

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from multiprocessing import Pipe

import cloudpickle

from dreamer_tf.envs import guardian
from dreamer_tf.envs.errors import EnvDied, EnvError, WorkerFault
from dreamer_tf.envs.host import CLOSING_SECONDS, LOOKING_SECONDS, START, Waiting

# The worker finds modules where its parent does, before it imports anything of this package.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from dreamer_tf.envs.worker import main; main()"
)
_MESSAGE_SECONDS = 60  # How long the rest of a reply may take that has begun.
ERRORS = {"error": EnvError, "died": EnvDied, "fault": WorkerFault}


class RemoteHost:
    """The part of an environment elsewhere that is alike wherever it is: waiting for its replies.

    Subclasses say how a reply is looked for (`_has_reply`), and how what does not answer is ended
    (`_kill`).
    """

    def __init__(self, limit, stopped):
        """Takes how long is waited.

        Args:
          limit: Seconds after which a command that is not answered counts as a death; 0: none.
          stopped: Function without arguments: whether the run is to stop.
        """
        self._limit, self._stopped = limit, stopped
        self._command, self._start_limit = START, 0
        self._notices = []

    def wait_until_ready(self, limit=None):
        """Waits for the constructor; returns the spaces and frames per step.

        Args:
          limit: Of one that was built before: seconds after which it counts as dead; 0: none. None:
            it was not, and may take as long as it likes.

        Raises:
          EnvError: If the environment cannot be built.
          EnvDied: If it was before, and its process ends now, or does not answer in time.
        """
        self._start_limit = limit or 0
        try:
            return self.receive()
        except EnvDied as error:
            if limit is not None:
                raise
            raise EnvError(f"while the environment was built, {error}") from error

    def take_notices(self):
        """What there is to say since the last time, see `Notices.take`."""
        notices, self._notices = self._notices, []
        return notices

    def _wait(self):
        """Waits for a reply, and not longer than allowed."""
        limit = self._start_limit if self._command == START else self._limit
        waiting = Waiting(self._command, limit, self._stopped)
        while not self._has_reply(LOOKING_SECONDS):
            try:
                waiting.look()
            except EnvDied:
                self._kill()
                raise

    def _take_reply(self, reply):
        """The content of a reply, or the error that it tells of."""
        kind, content, notices = reply
        self._notices += notices
        if kind == "ok":
            return content
        raise ERRORS[kind](*content)


class ProcessHost(RemoteHost):
    """One environment in a worker process without TensorFlow.

    Starts at once and does not wait: several of them start side by side. The constructor travels
    by value, so lambdas and classes of a script or notebook work and the script does not run
    again. Nothing but the two processes can reach the socket between them.

    The worker leads a session of its own, which ends with it, and with this process.
    """

    def __init__(self, constructor, limit=0.0, stopped=lambda: False):
        """Starts the worker.

        Args:
          constructor: Called in the worker without arguments, returns an `Env`.
          limit: Seconds after which a command that is not answered counts as a death; 0: none.
          stopped: Function without arguments: whether the run is to stop.

        Raises:
          EnvError: If the constructor cannot travel.
        """
        super().__init__(limit, stopped)
        pickled = pickle_constructor(constructor)
        self._closing = None
        self._connection, theirs = Pipe()
        _limit_reading(self._connection, _MESSAGE_SECONDS)
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        paths = json.dumps([str(path) for path in sys.path])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), paths],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent only.
            )
        _Guardian.watch(self._process.pid)
        with self._death_shows_at_the_next_reply():
            self._connection.send_bytes(pickled)

    @property
    def pid(self):
        """Process number of the worker."""
        return self._process.pid

    def send(self, command, argument=None):
        """Sends a command; see `Host.call`."""
        self._command = command
        if command == "close":
            self._closing = self._closing or time.monotonic()
        with self._death_shows_at_the_next_reply():
            self._connection.send((command, argument))

    def receive(self):
        """The reply to the last command.

        Raises:
          EnvError: What the environment returned is unusable.
          EnvDied: The environment raised an error of its own, did not answer in time, or the
            process is gone.
          EnvAbandoned: The run is to stop, and there was no answer for some seconds.
          WorkerFault: The worker failed, and not the environment.
        """
        self._wait()
        try:
            reply = self._connection.recv()
        except (EOFError, ConnectionResetError, BlockingIOError) as error:
            self._kill()
            raise EnvDied(f"its worker process {self._describe_end()}") from error
        return self._take_reply(reply)

    def close(self):
        """Closes the environment and ends the process, and all that it started."""
        self.send("close")
        left = self._closing + CLOSING_SECONDS - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(left, 0.1))
        self._kill()
        self._connection.close()
        _Guardian.forget(self._process.pid)

    def _has_reply(self, seconds):
        """Waits so long for a reply, or for the end of the process."""
        if self._poll.poll(1000 * seconds):
            return True
        # Somebody whom the worker started may hold the socket, so that it does not close.
        if self._process.poll() is not None and not self._poll.poll(0):
            raise EnvDied(f"its worker process {self._describe_end()}")
        return False

    def _kill(self):
        guardian.end_session(self._process.pid)
        self._process.kill()
        self._process.wait()

    def _describe_end(self):
        # The socket closes a moment before the process is gone.
        code = self._process.wait()
        if code >= 0:
            return f"ended with exit code {code}"
        return f"was killed by {signal.Signals(-code).name}"

    @contextlib.contextmanager
    def _death_shows_at_the_next_reply(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            yield


class _Guardian:
    """The process of ``guardian.py`` beside this one, started with the first worker."""

    _process = None
    _owner = None  # A fork of this process needs another.

    @classmethod
    def watch(cls, pid):
        """Lets a worker end with this process."""
        if cls._owner != os.getpid() or cls._process.poll() is not None:
            cls._owner = os.getpid()
            cls._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(os.getpid())],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        cls._tell(f"+{pid}\n")

    @classmethod
    def forget(cls, pid):
        """A worker has ended."""
        cls._tell(f"-{pid}\n")

    @classmethod
    def _tell(cls, line):
        with contextlib.suppress(
            BrokenPipeError
        ):  # Somebody ended it; the next worker has another.
            os.write(cls._process.stdin.fileno(), line.encode())


def _limit_reading(connection, seconds):
    """Lets a read that has waited for so long fail with BlockingIOError."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def pickle_constructor(constructor):
    """The constructor of an environment as bytes.

    Raises:
      EnvError: If it cannot travel.
    """
    try:
        return cloudpickle.dumps(constructor)
    except Exception as error:
        # Whatever the user's own objects raise while they are taken apart.
        raise EnvError(
            f"the environment cannot be sent to its worker process ({type(error).__name__}: "
            f"{error}); pass a function that makes it, such as lambda: MyEnv(), and open files, "
            f"locks and connections inside of it"
        ) from error
