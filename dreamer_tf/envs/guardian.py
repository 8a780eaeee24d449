"""Ends the processes of workers whose trainer is gone, however it ended and whatever they do.

A worker notices by itself that its trainer has ended, unless it is stopped, or an environment holds
the interpreter's lock; and nobody would end the processes that an environment started. So beside
each trainer with workers runs a small process, which does nothing but wait for the trainer's end::

    python -I -S guardian.py PID        PID: of the trainer

On its standard input the trainer names its workers, ``+123`` and ``-123``, which lead sessions of
their own. What else a worker started belongs to it, unless that began a session and its parent has
ended, as daemons do. This file is read without the package: it imports the standard library only.
"""

import contextlib
import os
import select
import signal
import sys

_ROUNDS = 5  # A process may fork while its session is ended.


def end_session(leader):
    """Kills all processes of a session, and all that they started."""
    for _ in range(_ROUNDS):
        found = _belonging(leader)
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _belonging(leader):
    """Numbers of the living processes of a session, and of what descends from them."""
    parents, found = {}, set()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                state, parent, _, session = file.read().rpartition(")")[2].split()[:4]
            if state not in "ZX":
                parents[int(name)] = int(parent)
                if int(session) == leader:
                    found.add(int(name))
    while new := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {os.getpid()}


def main():
    """Waits for the trainer's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    # Where the trainer forked, somebody else may hold the other end of the pipe.
    with contextlib.suppress(OSError, AttributeError):
        poll.register(os.pidfd_open(int(sys.argv[1])), select.POLLIN)
    workers, text = set(), ""
    while [descriptor for descriptor, _ in poll.poll()] == [0]:
        received = os.read(0, 4096).decode()
        if not received:
            break
        *lines, text = (text + received).split("\n")
        for line in lines:
            (workers.add if line[0] == "+" else workers.discard)(int(line[1:]))
    for worker in workers:
        end_session(worker)


if __name__ == "__main__":
    main()
