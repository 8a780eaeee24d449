"""What ends an export with a message instead of a traceback."""


class ExportError(ValueError):
    """Something cannot be exported, or is not the export that was expected."""
