"""Limits that the system puts on a process, for the length of a ``with`` block."""

import contextlib
import resource


@contextlib.contextmanager
def files_of_at_most(size):
    """Makes the system refuse files above ``size`` bytes, as a full disk refuses any.

    Only around the calls under test: the limit holds for every file of the process, the one that
    pytest itself may be reporting to as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
