"""Single options that several agents have: meaning and bounds, without the default.

An agent calls them with its own: ``free_nats: float = shared.free_nats(3.0)``. Where an option
means more to one agent than to others, that agent adds a ``text`` of its own.
"""

import functools

from dreamer_tf.config.fields import option


def _shared(text, choices=None, **bounds):
    return functools.partial(option, text=text, choices=choices, **bounds)


# The world model.
latent_min_std = _shared("Gaussian state: smallest standard deviation", above=0)
classes = _shared("classes of each categorical variable (K)", minimum=2)
activation = _shared("of the hidden layers", ("elu", "relu", "silu", "tanh"))
free_nats = _shared("KL below this many nats is not penalised", minimum=0)
free_nats_per = _shared(
    "batch: max(mean KL, free nats), as in the author's TF2 code and DreamerV2; step: mean over "
    "max(KL, free nats), as in PlaNet and the first code",
    ("batch", "step"),
)
kl_scale = _shared("weight of the KL term (beta)", minimum=0)
reward_scale = _shared("weight of the reward model's loss", minimum=0)
reward_gradient = _shared("the reward model shapes the representation")
clip_rewards = _shared(
    "what the reward model learns: none: the rewards as they are; sign or tanh: of them, where "
    "their sizes differ by orders of magnitude",
    ("none", "sign", "tanh"),
)
discount_model = _shared("learn when episodes terminate, and discount imagined rewards by it")
discount_scale = _shared("weight of the discount model's loss", minimum=0)
diagnostic_decoder = _shared(
    "without reconstruction: train a decoder on the finished features, for open-loop videos; "
    "changes nothing else; false saves its time"
)
harmony = _shared(
    "learn how the losses of rewards, images and KL are weighed, in place of their weights: "
    "each is divided by a number that an optimiser moves (HarmonyDream)"
)

# Behaviour.
imag_horizon = _shared("imagined steps (H)", minimum=2)
discount = _shared("discount factor (gamma)", minimum=0, maximum=1)
return_lambda = _shared("mixture of the k-step returns (lambda)", minimum=0, maximum=1)
slow_every = _shared("grad_steps between the moves of the slow critic to the critic", minimum=1)
exploration_noise = _shared("standard deviation added to continuous actions in training", minimum=0)
