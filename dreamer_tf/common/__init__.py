"""What any room may use: only the standard library is behind it."""

from dreamer_tf.common.files import replacing, sync
from dreamer_tf.common.names import nearest

__all__ = ["nearest", "replacing", "sync"]
