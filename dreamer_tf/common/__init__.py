"""What any room may use: only the standard library is behind it."""

from dreamer_tf.common.files import TEMPORARY, replacing, sync, write_json
from dreamer_tf.common.names import nearest
from dreamer_tf.common.own import own_name, short_name

__all__ = ["TEMPORARY", "nearest", "own_name", "replacing", "short_name", "sync", "write_json"]
