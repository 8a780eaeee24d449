"""An environment that answers commands, here or (``process.py``) in a process of its own."""

import contextlib
import logging
import signal
import sys
import threading
import time
import traceback

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvAbandoned, EnvDied, EnvError, WorkerFault
from dreamer_tf.envs.gym_api import call

_LOGGER = logging.getLogger(__name__)

_ROOM = __name__.rpartition(".")[0]
# What stands around every environment; a simulator's own module belongs to the simulator.
_OURS = {
    f"{_ROOM}.{name}"
    for name in (
        *("base", "checks", "gym_api", "host", "names"),
        *("pictures", "selected", "spaces", "users"),
    )
}
_LIBRARIES = {"numpy", "PIL", *sys.stdlib_module_names}
STOPPING_SECONDS = 10  # How long a reply is waited for when the run is to stop.
CLOSING_SECONDS = 5
LOOKING_SECONDS = 0.25  # How often an environment that does not answer is looked at.
START = "start"  # What the building of an environment is called among the commands.
_SLOW_SECONDS = 60  # How long one may be built until that is told.
# Not of this room, where what is said while an environment is built waits until it is.
_AT_ONCE = logging.getLogger(_ROOM.partition(".")[0])


class Host:
    """Builds one environment and runs commands on it."""

    def __init__(self, constructor, notices):
        """Builds the environment.

        Args:
          constructor: Called without arguments, returns an `Env`.
          notices: `Notices` that collect what there is to say.

        Raises:
          EnvError: If the constructor fails or returns something else.
        """
        self._notices = notices
        with notices.collecting():
            self._env = self._build(constructor)

    def _build(self, constructor):
        try:
            env = constructor()
        except (EnvError, EnvDied, EnvAbandoned):
            raise
        except Exception as error:
            raise EnvError(_failed_constructor(error)) from error
        if not isinstance(env, Env):
            raise EnvError(
                f"a constructor must return a dreamer_tf.envs.Env, got {type(env).__name__}; "
                "dreamer_tf.envs.from_user wraps gymnasium and gym environments"
            )
        return CheckedEnv(env)

    @property
    def spaces(self):
        """Observation spaces, action spaces, the simulator's own ones, and frames per step."""
        env = self._env
        return env.obs_space, env.act_space, env.native_act_space, env.frames_per_step

    def call(self, command, argument=None):
        """Runs ``reset`` (a seed), ``step`` (an action), ``render`` or ``close`` (nothing).

        Raises:
          EnvError: What the environment returned is unusable.
          EnvDied: The environment raised an error of its own; holds its traceback.
          WorkerFault: What stands around it here raised one.
        """
        if command == "close":
            return self._close()
        if command not in ("reset", "step", "render"):
            raise ValueError(f"unknown command {command!r}")
        arguments = () if command == "render" else (argument,)
        try:
            with self._notices.collecting():
                return getattr(self._env, command)(*arguments)
        except (EnvError, EnvDied, EnvAbandoned):
            raise
        except NotImplementedError as error:
            raise EnvError(_not_implemented(command, error)) from error
        except Exception as error:
            text = traceback.format_exc()
            if _is_ours(error):
                raise WorkerFault(
                    f"dreamer_tf failed at a {command}, not the environment; please report it:\n"
                    f"{text}"
                ) from error
            raise EnvDied(text) from error

    def _close(self):
        """Closes the environment; it is over whatever goes wrong there."""
        try:
            self._env.close()
        except (EnvDied, EnvAbandoned):
            raise
        except Exception:
            _LOGGER.warning("closing the environment failed", exc_info=True)


def _failed_constructor(error):
    text = f"the constructor of the environment failed:\n{traceback.format_exc()}"
    if isinstance(error, NameError):
        text += (
            "\nThe constructor travels to a worker process, and of a script or notebook only what "
            "its functions read: the body of a class written inside a function is not looked "
            "into. Write the class outside of the function, import what it reads inside of it, or "
            "put it into a module and import that"
        )
    return text


def _not_implemented(command, error):
    if command == "render" and str(error):
        return str(error)
    text = "".join(traceback.format_exception(error)).rstrip()
    return f"{command}() is not implemented; an environment needs reset() and step():\n{text}"


def _is_ours(error):
    """Whether an error arose in what stands around the environment, not in the environment."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is call.__code__:
            return False
        module = frame.f_globals.get("__name__", "")
        if module not in _OURS and module.partition(".")[0] not in _LIBRARIES:
            return False
    return True


class Notices(logging.Handler):
    """Keeps the warnings of this room while it collects; the parent tells each once."""

    def __init__(self):
        """Has none yet."""
        super().__init__(logging.WARNING)
        self._kept = []

    def emit(self, record):
        """Keeps a warning; those of one template about one key are the same notice."""
        about = record.args[0] if isinstance(record.args, tuple) and record.args else ""
        self._kept.append((f"{record.msg} {about}", record.getMessage()))

    def take(self):
        """What was collected since the last time: list of (identity, text)."""
        kept, self._kept = self._kept, []
        return kept

    @contextlib.contextmanager
    def collecting(self):
        """Takes the warnings of this room as long as it is entered."""
        logger = logging.getLogger(_ROOM)
        propagate = logger.propagate
        logger.addHandler(self)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(self)
            logger.propagate = propagate


class Waiting:
    """How long an environment may take for one command."""

    def __init__(self, command, limit, stopped):
        """Begins to wait.

        Args:
          command: Its name; `START` while the environment is built.
          limit: Seconds after which the environment counts as dead; 0: none.
          stopped: Function without arguments: whether the run is to stop.
        """
        self._command, self._limit, self._stopped = command, limit, stopped
        self._began, self._stopping = time.monotonic(), None
        self._is_slow = False

    def look(self):
        """Looks at the time; tells once of an environment that is built for long.

        Raises:
          EnvDied: If the limit is over.
          EnvAbandoned: If the run is to stop, and was to for some seconds already.
        """
        now = time.monotonic()
        if self._limit and now - self._began > self._limit:
            raise EnvDied(
                f"no answer to a {self._command} for {self._limit:g} seconds (env.step_timeout)"
            )
        if self._stopped():
            self._stopping = self._stopping or now
            if now - self._stopping > STOPPING_SECONDS:
                raise EnvAbandoned(
                    f"an environment did not answer to a {self._command} for "
                    f"{now - self._began:.0f} seconds"
                )
        if self._command == START and not self._is_slow and now - self._began > _SLOW_SECONDS:
            self._is_slow = True
            _AT_ONCE.warning(
                "an environment is not built after %g seconds; its constructor is waited for",
                _SLOW_SECONDS,
            )


class InlineHost:
    """The same commands with the interface of `ProcessHost`, run in this process.

    An environment that takes too long is interrupted where it waits or runs Python; what hangs in
    compiled code can only be ended in a process of its own. So it is beside the main thread, and
    where the environment uses the alarm itself.
    """

    def __init__(self, constructor, limit=0.0, stopped=lambda: False):
        """Does not build it yet; see `ProcessHost`."""
        self._constructor = constructor
        self._limit, self._stopped = limit, stopped
        self._notices = Notices()
        self._host = None
        self._pending = None

    def wait_until_ready(self, limit=None):
        """Calls the constructor; see `RemoteHost.wait_until_ready`."""
        with self._interrupted_in_time(START, limit or 0):
            self._host = Host(self._constructor, self._notices)
        return self._host.spaces

    def send(self, command, argument=None):
        """Notes a command; `receive` runs it."""
        self._pending = (command, argument)

    def receive(self):
        """The reply to the last command; raises like `Host.call` and `Waiting.look`."""
        with self._interrupted_in_time(self._pending[0], self._limit):
            return self._host.call(*self._pending)

    def take_notices(self):
        """What there is to say since the last time, see `Notices.take`."""
        return self._notices.take()

    def close(self):
        """Closes the environment, or gives it up after some seconds."""
        if self._host is not None:
            with contextlib.suppress(EnvDied), self._interrupted_in_time("close", CLOSING_SECONDS):
                self._host.call("close")

    @contextlib.contextmanager
    def _interrupted_in_time(self, command, limit):
        """Looks at the time by an alarm, which arises in the main thread whatever it is at."""
        is_free = signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
        if not is_free or threading.current_thread() is not threading.main_thread():
            yield
            return
        waiting = Waiting(command, limit, self._stopped)
        signal.signal(signal.SIGALRM, lambda *_: waiting.look())
        signal.setitimer(signal.ITIMER_REAL, LOOKING_SECONDS, LOOKING_SECONDS)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
