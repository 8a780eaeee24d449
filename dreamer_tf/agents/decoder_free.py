"""Objectives of DreamerV3 that need no decoder, made from its options.

R2-Dreamer (arXiv:2603.18202), InfoNCE as its authors compare it, and DreamerPro (arXiv:2110.14565).
Whatever else DreamerV3 learns, and how, stays the same.
"""

from dreamer_tf.behaviors import SlowCopy
from dreamer_tf.nn import Linear, fan_in_normal
from dreamer_tf.world_model import R2, DreamerPro, InfoNCE, Prototypes


def make_objective(config, encoder, make_slow_encoder, feat_size, dtype):
    """The objective that the options name, with its networks built.

    Args:
      config: `DreamerV3Config`.
      encoder: The encoder of the world model, built.
      make_slow_encoder: Function without arguments to another one like it.
      feat_size: Width of the features (F).
      dtype: Keras dtype policy.

    Returns:
      `Objective`.

    Raises:
      ValueError: If the objective needs an image and the encoder sees none.
    """
    if config.objective == "dreamerpro":
        return _dreamerpro(config, encoder, make_slow_encoder, feat_size, dtype)
    projector = _linear("projector", feat_size, encoder.output_size, dtype, use_bias=False)
    scales = config.loss_scales
    return {
        "r2": lambda: R2(projector, redundancy=config.r2.redundancy, scale=scales.r2),
        "infonce": lambda: InfoNCE(projector, scale=scales.infonce),
    }[config.objective]()


def _dreamerpro(config, encoder, make_slow_encoder, feat_size, dtype):
    options, scales = config.dreamerpro, config.loss_scales
    if not encoder.images:
        raise ValueError(
            "dreamerv3.objective dreamerpro compares shifted images, and the encoder sees none: "
            f"only {', '.join(encoder.plan.vectors)}; r2, infonce and reconstruction need none"
        )
    prototypes = Prototypes(options.prototypes, name="prototypes")
    prototypes.build(options.size)
    online, feat, slow = (
        _linear(name, inputs, options.size, dtype)
        for name, inputs in [
            ("obs_projection", encoder.output_size),
            ("feat_projection", feat_size),
            ("slow_projection", encoder.output_size),
        ]
    )
    pace = {"every": options.slow_every, "fraction": options.slow_rate}
    return DreamerPro(
        prototypes,
        online,
        feat,
        SlowCopy(make_slow_encoder(), encoder, **pace),
        SlowCopy(slow, online, **pace),
        scales={name: getattr(scales, name) for name in ("swav", "temp", "norm")},
        temperature=options.temperature,
        sinkhorn_epsilon=options.sinkhorn_epsilon,
        sinkhorn_iterations=options.sinkhorn_iterations,
        warm_up=options.warm_up,
        frozen=options.frozen,
        max_shift=options.max_shift,
    )


def _linear(name, inputs, outputs, dtype, use_bias=True):
    layer = Linear(outputs, use_bias=use_bias, initializer=fan_in_normal(), dtype=dtype, name=name)
    layer.build(inputs)
    return layer
