"""Waits where what must not be lost cannot be stored, or read, at the moment: a full disk, say."""

import time

from dreamer_tf.runs.errors import NO_SPACE, PASSING, CheckpointError

_TRY_SECONDS = 1.0


class Storing:
    """Stores episodes and checkpoints, reads batches, and tries again where the system refuses."""

    def __init__(self, patience, tell, stopped, now=time.monotonic, sleep=time.sleep):
        """Has not waited yet.

        Args:
          patience: Seconds to try again; 0: an error is final.
          tell: Function of a line of text.
          stopped: Function without arguments: whether a stop is asked for, which ends the wait.
          now: Function that tells the time in seconds.
          sleep: Function that waits for seconds.
        """
        self._patience = patience
        self._tell = tell
        self._stopped = stopped
        self._now = now
        self._sleep = sleep

    def __call__(self, store, again=None):
        """Stores or reads something.

        Args:
          store: Function without arguments, which raises if it could not.
          again: What is called instead after the first time; None: the same.

        Returns:
          What the function returned.

        Raises:
          OSError: If it still cannot be done, or the error is none that passes.
          CheckpointError: Likewise. After either nothing is waited for any more.
        """
        start = None
        while True:
            try:
                stored = store()
            except (OSError, CheckpointError) as error:
                start = self._wait(error, start)
                store = again or store
            else:
                if start is not None:
                    seconds = self._now() - start
                    self._tell(f"it worked after {seconds:.0f} seconds; the run goes on")
                return stored

    def _wait(self, error, start):
        now = self._now()
        is_over = start is not None and now - start >= self._patience
        if error.errno not in PASSING or not self._patience or is_over or self._stopped():
            self._patience = 0
            raise error
        if start is None:
            start = now
            reason = str(error).rstrip(".")
            is_full = error.errno in NO_SPACE
            advice = "make room, and it goes on" if is_full else "it goes on with the disk"
            self._tell(
                f"{reason}; the run waits and tries again for {self._patience:.0f} seconds "
                f"(run.disk_patience): {advice}"
            )
        self._sleep(_TRY_SECONDS)
        return start
