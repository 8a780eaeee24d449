"""What an environment's side has to say, held back where it arises and told once by the parent."""

import contextlib
import logging

_ROOM = __name__.rpartition(".")[0]


class Notices(logging.Handler):
    """Keeps the warnings of this room while it collects, instead of printing them."""

    def __init__(self):
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
