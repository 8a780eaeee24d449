"""The process that one environment lives in; ``process.py`` is the other end.

Started with a socket to its parent. First arrives the pickled constructor, then commands. Every
reply has a kind, its content, and what `Notices` collected: ``ok`` and a value, ``error`` and the
texts of what cannot be used as it is, ``fault`` and the traceback of an error that is not the
environment's, or ``died`` and that of one that is, after which the process ends.
"""

import contextlib
import os
import pickle
import select
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection

from dreamer_tf.envs import gl
from dreamer_tf.envs.errors import EnvDied, EnvError, WorkerFault
from dreamer_tf.envs.host import Host, Notices


def main():
    """Serves one environment until the parent says ``close`` or ends."""
    _leave_signals_to_the_parent()
    # Taken away: an environment may parse the arguments of its process.
    connection = Connection(int(sys.argv.pop()))
    threading.Thread(target=_end_with_parent, args=[connection.fileno()], daemon=True).start()
    # The parent may end at any moment; without it there is nobody to tell.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        notices = Notices()
        host = _build(connection, notices)
        if host is not None:
            _serve(host, connection, notices)


def _leave_signals_to_the_parent():
    """Ignores Ctrl-C and SIGTERM: the parent finishes its step and saves first.

    By handlers that do nothing: simulators that an environment starts would inherit `SIG_IGN`, and
    could be ended by neither.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    os.register_at_fork(after_in_child=_take_signals)


def _take_signals():
    """Lets a fork, which inherits the handlers, be ended as any process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_with_parent(descriptor):
    """Ends this process when the other end of the socket closes, also in the middle of a step."""
    poll = select.poll()
    poll.register(descriptor, 0)  # A hang-up is reported without being asked for.
    poll.poll()
    os.killpg(0, signal.SIGKILL)  # With the processes that the environment started.


def _build(connection, notices):
    """The host of the environment, or None after telling the parent why there is none."""
    try:
        gl.choose()
        constructor = load(connection.recv_bytes())
        host = Host(constructor, notices)
        connection.send(("ok", host.spaces, notices.take()))
    except EnvError as error:
        connection.send(("error", error.problems, notices.take()))
        return None
    return host


def load(pickled):
    """The constructor of an environment.

    Raises:
      EnvError: If it cannot be unpickled here.
    """
    try:
        return pickle.loads(pickled)
    except Exception as error:
        # Unpickling imports the user's modules, so anything can happen.
        text = f"the constructor could not be loaded in the worker:\n{traceback.format_exc()}"
        raise EnvError(text) from error


def answer(host, command, argument):
    """Kind and content of the reply to a command, whatever carries it."""
    try:
        return "ok", host.call(command, argument)
    except EnvError as error:
        return "error", error.problems
    except WorkerFault as error:
        return "fault", (str(error),)
    except EnvDied as error:
        return "died", (str(error),)


def _serve(host, connection, notices):
    while True:
        command, argument = connection.recv()
        reply = answer(host, command, argument)
        connection.send((*reply, notices.take()))
        if command == "close" or reply[0] == "died":
            return
