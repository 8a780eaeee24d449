"""What ends an export with a message instead of a traceback."""


class ExportError(ValueError):
    """Something cannot be exported, or is not the export that was expected."""


class OnnxError(ExportError):
    """ONNX cannot hold a policy, of which everything else can be exported."""
