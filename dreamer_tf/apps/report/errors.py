"""What a report cannot be made from."""


class ReportError(ValueError):
    """A folder is no run, or its files cannot be read; the message says which and why."""
