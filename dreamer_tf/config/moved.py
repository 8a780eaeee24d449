"""Options that have another name now.

Files from before (a run's ``config.yaml``, a preset of one's own) are read as if they used the new
names, see `dreamer_tf.config.options`. On the command line and from Python an old name is an error
that says the new one.
"""


def _each(template, *optimizers):
    return tuple(template.format(name) for name in optimizers)


_DREAMER = ("model_optimizer", "actor_optimizer", "critic_optimizer")
_DREAMERV2 = (*_DREAMER, "explore.optimizer")

MOVED = {
    "replay.context": ("replay.carry",),
    "dreamer.model_lr": ("dreamer.model_optimizer.learning_rate",),
    "dreamer.actor_lr": ("dreamer.actor_optimizer.learning_rate",),
    "dreamer.critic_lr": ("dreamer.critic_optimizer.learning_rate",),
    "dreamer.adam_epsilon": _each("dreamer.{}.epsilon", *_DREAMER),
    "dreamer.grad_clip": _each("dreamer.{}.grad_clip", *_DREAMER),
    "dreamerv2.model_lr": ("dreamerv2.model_optimizer.learning_rate",),
    "dreamerv2.actor_lr": ("dreamerv2.actor_optimizer.learning_rate",),
    "dreamerv2.critic_lr": ("dreamerv2.critic_optimizer.learning_rate",),
    "dreamerv2.explore.lr": ("dreamerv2.explore.optimizer.learning_rate",),
    "dreamerv2.adam_epsilon": _each("dreamerv2.{}.epsilon", *_DREAMERV2),
    "dreamerv2.grad_clip": _each("dreamerv2.{}.grad_clip", *_DREAMERV2),
    "dreamerv2.weight_decay": _each("dreamerv2.{}.weight_decay", *_DREAMERV2),
    "dreamerv3.bins": ("dreamerv3.reward.bins", "dreamerv3.critic.bins"),
    "planet.learning_rate": ("planet.optimizer.learning_rate",),
    "planet.adam_epsilon": ("planet.optimizer.epsilon",),
    "planet.grad_clip": ("planet.optimizer.grad_clip",),
}
"""Old dotted name to the new one, or to several where parts had it together."""

PARTED = {
    "dreamerv3.return_lambda": "dreamerv3.replay_lambda",
    "dreamerv3.slow_scale": "dreamerv3.replay_slow_scale",
}
"""Options that stood for another one, too, in the configs of runs that do not have that one."""
