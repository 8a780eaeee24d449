"""What any room may use: only the standard library is behind it."""

from dreamer_tf.common.files import TEMPORARY, replacing, sync, write_json
from dreamer_tf.common.names import nearest
from dreamer_tf.common.numbers import counted, duration, number, rounded, wrapped

__all__ = [
    "TEMPORARY",
    "counted",
    "duration",
    "nearest",
    "number",
    "replacing",
    "rounded",
    "sync",
    "wrapped",
    "write_json",
]
