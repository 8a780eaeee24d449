"""The parent's end of an environment in a process of its own."""

import contextlib
import json
import signal
import subprocess
import sys
from multiprocessing import Pipe

import cloudpickle

from dreamer_tf.envs.errors import EnvDied, EnvError, WorkerFault

# The worker finds modules where its parent does, before it imports anything of this package.
_BOOTSTRAP = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop()); "
    "from dreamer_tf.envs.worker import main; main()"
)
_CLOSING_SECONDS = 5
ERRORS = {"error": EnvError, "died": EnvDied, "fault": WorkerFault}


class ProcessHost:
    """One environment in a worker process without TensorFlow.

    Starts at once and does not wait: several of them start side by side. The constructor travels
    by value, so lambdas and classes of a script or notebook work and the script does not run
    again. Nothing but the two processes can reach the socket between them.
    """

    def __init__(self, constructor):
        """Starts the worker.

        Args:
          constructor: Called in the worker without arguments, returns an `Env`.

        Raises:
          EnvError: If the constructor cannot travel.
        """
        pickled = pickle_constructor(constructor)
        self._notices = []
        self._connection, theirs = Pipe()
        paths = json.dumps([str(path) for path in sys.path])
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), paths],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in the terminal reaches the parent only.
            )
        with self._death_shows_at_the_next_reply():
            self._connection.send_bytes(pickled)

    @property
    def pid(self):
        """Process number of the worker."""
        return self._process.pid

    def wait_until_ready(self):
        """Waits for the constructor; returns the spaces and frames per step.

        Raises:
          EnvError: If the environment cannot be built.
        """
        try:
            return self.receive()
        except EnvDied as error:
            raise EnvError(f"while the environment was built, {error}") from error

    def send(self, command, argument=None):
        """Sends a command; see `Host.call`."""
        with self._death_shows_at_the_next_reply():
            self._connection.send((command, argument))

    def receive(self):
        """The reply to the last command.

        Raises:
          EnvError: What the environment returned is unusable.
          EnvDied: The environment raised an error of its own, or the process is gone.
          WorkerFault: The worker failed, and not the environment.
        """
        try:
            kind, content, notices = self._connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise EnvDied(f"its worker process {self._describe_end()}") from error
        self._notices += notices
        if kind == "ok":
            return content
        raise ERRORS[kind](*content)

    def take_notices(self):
        """What there is to say since the last time, see `Notices.take`."""
        notices, self._notices = self._notices, []
        return notices

    def close(self):
        """Closes the environment and ends the process."""
        self.send("close")
        try:
            self._process.wait(_CLOSING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._connection.close()

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
