"""Errors of run folders and their files, which a message explains instead of a traceback."""

import errno

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""System errors of a full disk, a quota, or a limit of file sizes."""

PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EROFS, errno.ETIMEDOUT)
"""System errors that may be over soon: a full disk, a disk or a network that fails for a while."""


class RunFolderInUse(RuntimeError):
    """Another trainer works in this run folder."""


class RunFolderError(ValueError):
    """A folder is not the run folder that was expected."""


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, or not be read at the moment.

    Attributes:
      errno: The system's number of the cause; None if it has none.
    """

    def __init__(self, message, number=None):
        super().__init__(message)
        self.errno = number


class NoWholeCheckpointError(RunFolderError):
    """There are checkpoints, and all of them are damaged."""


class CheckpointMismatchError(ValueError):
    """A checkpoint is of another agent than the one it should continue."""


class VideoFormatError(ValueError):
    """A video file's name does not end in a format that can be written."""
