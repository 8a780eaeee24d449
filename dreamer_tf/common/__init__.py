"""What any room may use: only the standard library is behind it."""

from dreamer_tf.common.files import TEMPORARY, replacing, sync, write_json
from dreamer_tf.common.names import nearest

__all__ = ["TEMPORARY", "nearest", "replacing", "sync", "write_json"]
