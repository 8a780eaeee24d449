"""What cannot be dreamed, and what cannot be asked for."""


class DreamError(ValueError):
    """A run, or this installation, does not allow to dream; the message says why."""


class RequestError(ValueError):
    """What the page asked for does not fit: the message says what was got and what was expected.

    Attributes:
      status: HTTP status of the answer, 4xx.
    """

    def __init__(self, message, status=400):
        super().__init__(message)
        self.status = status
