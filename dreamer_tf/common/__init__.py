"""What any room may use: only the standard library is behind it."""

from dreamer_tf.common.files import TEMPORARY, replacing, sync, write_json
from dreamer_tf.common.names import nearest
from dreamer_tf.common.numbers import counted, duration, number, rounded, wrapped
from dreamer_tf.common.own import own_name, short_name

__all__ = [
    "TEMPORARY",
    "counted",
    "duration",
    "nearest",
    "number",
    "own_name",
    "replacing",
    "rounded",
    "short_name",
    "sync",
    "wrapped",
    "write_json",
]
