"""The options of an optimiser, wherever there is one."""

import dataclasses

from dreamer_tf.config.fields import option


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam after clipping by global norm.

    Defaults are those of DreamerV2's ensemble and, but for the learning rate, of its other three.
    """

    learning_rate: float = option(3e-4, "learning rate", above=0)
    epsilon: float = option(1e-5, "added to the root of the gradients' mean square", above=0)
    grad_clip: float = option(100.0, "largest global norm of the gradient", above=0)
    weight_decay: float = option(
        0.0,
        "share by which every weight shrinks in an update, whatever the learning rate",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(frozen=True)
class LaPropConfig(OptimizerConfig):
    """LaProp after adaptive clipping: one more meaning of clip and decay, and the warm-up."""

    grad_clip: float = option(
        0.3, "largest norm of a tensor's gradient, relative to the tensor's own (AGC)", above=0
    )
    weight_decay: float = option(
        0.0,
        "share by which kernels shrink in an update, times the learning rate",
        minimum=0,
        maximum=1,
    )
    warmup: int = option(1000, "grad_steps in which the learning rate rises from zero", minimum=0)
    beta1: float = option(0.9, "decay of the average of updates", minimum=0, maximum=1)
    beta2: float = option(0.999, "decay of the mean square of gradients", minimum=0, maximum=1)
    nesterov: bool = option(False, "count the newest update as if the next one were equal to it")
