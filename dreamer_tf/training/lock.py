"""One trainer for one run folder."""

import fcntl
import os
import pathlib
import socket

from dreamer_tf.training.errors import RunFolderInUse

LOCK_NAME = "trainer.lock"


class RunFolderLock:
    """Holds a run folder for this process, as a context manager.

    The system releases the lock when the process ends, however it ends, so a killed trainer leaves
    nothing to clean up. The file tells who holds it.

    Args:
      folder: Run folder; made if missing.

    Raises:
      RunFolderInUse: On entry, if another process holds the folder; the message names it.
    """

    def __init__(self, folder):
        self._path = pathlib.Path(folder) / LOCK_NAME
        self._file = None

    def __enter__(self):
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "another process"
            file.close()
            raise RunFolderInUse(
                f"the run folder {self._path.parent} is in use by {holder}; "
                f"stop that trainer first, or choose another --logdir"
            ) from error
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *_):
        self._file.close()
        self._file = None
