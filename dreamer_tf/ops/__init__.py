"""Pure functions of tensors: returns, scans, contrastive loss, norms, scaling, schedules."""

from dreamer_tf.ops.axes import (
    flatten_time,
    leading_size,
    linear,
    merge_leading,
    open_shape,
    restore_leading,
    scan,
    swap_time,
    unless,
)
from dreamer_tf.ops.compiled import FlatFunction
from dreamer_tf.ops.contrastive import contrastive_loss, cyclic_window
from dreamer_tf.ops.returns import cumulative_discount, lambda_return, reward_sum
from dreamer_tf.ops.schedules import Schedule
from dreamer_tf.ops.transforms import (
    IMAGE_OFFSET,
    float_to_image,
    gru_gates,
    image_to_float,
    layer_norm,
    quantize_image,
    rms_norm_silu,
    shift_image,
    symexp,
    symlog,
)

__all__ = [
    "IMAGE_OFFSET",
    "FlatFunction",
    "Schedule",
    "contrastive_loss",
    "cumulative_discount",
    "cyclic_window",
    "flatten_time",
    "float_to_image",
    "gru_gates",
    "image_to_float",
    "lambda_return",
    "layer_norm",
    "leading_size",
    "linear",
    "merge_leading",
    "open_shape",
    "quantize_image",
    "restore_leading",
    "reward_sum",
    "rms_norm_silu",
    "scan",
    "shift_image",
    "swap_time",
    "symexp",
    "symlog",
    "unless",
]
