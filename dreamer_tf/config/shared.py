"""What several agents have: single options, and groups for their networks and optimisers.

Single options have meaning and bounds here, but no default. An agent calls them with its own:
``free_nats: float = shared.free_nats(3.0)``. Where an option means more to one agent than to
others, that agent adds a ``text`` of its own.

Defaults of groups are those of Dreamer (arXiv:1912.01603), but for the optimiser; an agent's own
stand where it has its group, as in ``section(HeadConfig, "reward model", layers=1, units=1024)``.
"""

import dataclasses
import functools

from dreamer_tf.config.fields import option, section


def _shared(text, choices=None, **bounds):
    return functools.partial(option, text=text, choices=choices, **bounds)


# The world model.
latent_min_std = _shared("Gaussian state: smallest standard deviation", above=0)
classes = _shared("classes of each categorical variable (K)", minimum=2)
activation = _shared("of the hidden layers", ("elu", "relu", "leaky_relu", "silu", "gelu", "tanh"))
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
policy = _shared(
    "what acts: the actor, or, for continuous actions, a planner, which searches in the model at "
    "every step for the return that the actor is trained for, value included, and gets proposals "
    "from the actor",
    ("actor", "planner"),
)
exploration_noise = _shared("standard deviation added to continuous actions in training", minimum=0)


# ---- Networks, and the planner.


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    layers: int = option(3, "dense layers before the output", minimum=0)
    units: int = option(300, "width of those layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class RSSMConfig:
    deter: int = option(200, "width of the deterministic state (D)", minimum=1)
    stoch: int = option(
        30, "width of a Gaussian state (S), or number of categorical variables (V)", minimum=1
    )
    hidden: int = option(200, "width of the hidden layers", minimum=1)


@dataclasses.dataclass(frozen=True)
class GaussianRSSMConfig(RSSMConfig):
    min_std: float = latent_min_std(0.1)


@dataclasses.dataclass(frozen=True)
class ObservationConfig:
    """Of an encoder, and of its twin, the decoder."""

    depth: int = option(
        32, "channels of the image layer next to the image; the others are multiples", minimum=1
    )
    vector_layers: int = option(3, "dense layers for vector observations", minimum=1)
    vector_units: int = option(300, "width of the layers for vectors", minimum=1)


@dataclasses.dataclass(frozen=True)
class ActorConfig(HeadConfig):
    min_std: float = option(1e-4, "continuous actions: smallest standard deviation", above=0)


@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    horizon: int = option(12, "planned steps (H)", minimum=1)
    iterations: int = option(10, "how often the belief over actions is fitted", minimum=1)
    candidates: int = option(
        1000, "action sequences drawn in an iteration, for each environment", minimum=1
    )
    elites: int = option(
        100,
        "of these, the sequences of highest return that the belief is fitted to; "
        "1, with one iteration: random shooting",
        minimum=1,
    )


@dataclasses.dataclass(frozen=True)
class GuidedPlannerConfig(PlannerConfig):
    actor_trajectories: int = option(
        24, "candidates that follow the actor: one its mode, the others its samples", minimum=0
    )
    temperature: float = option(
        0.5,
        "elites weigh softmax(temperature · return): the larger, the more the best one counts; "
        "0: all alike",
        minimum=0,
    )
    min_std: float = option(0.05, "smallest standard deviation of the belief", minimum=0)
    max_std: float = option(2.0, "largest one, and the first", above=0)


def keys():
    """Which observations an encoder or decoder takes."""
    return option(
        ".*", "regular expression that an observation's whole key must match; others are left out"
    )


def guided_planner():
    """The planner of agents that have an actor, with the values of TD-MPC2 (arXiv:2310.16828)."""
    text = "the search, where policy is planner; the critic's value stands behind the horizon"
    sizes = {"horizon": 3, "iterations": 6, "candidates": 512, "elites": 64}
    return section(GuidedPlannerConfig, text, **sizes)


# ---- Optimisers.


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Adam after clipping by global norm.

    Defaults are those of DreamerV2's ensemble, but for its weight decay, which is 1e-6.
    """

    learning_rate: float = option(3e-4, "learning rate", above=0)
    epsilon: float = option(1e-5, "added to the root of the gradients' mean square", above=0)
    grad_clip: float = option(100.0, "largest global norm of the gradient; 0: any", minimum=0)
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
        0.3,
        "largest norm of a tensor's gradient, relative to the tensor's own (AGC); 0: any",
        minimum=0,
    )
    weight_decay: float = option(
        0.0,
        "share by which kernels shrink in an update, times the learning rate",
        minimum=0,
        maximum=1,
    )
    warmup: int = option(1000, "grad_steps in which the learning rate rises from zero", minimum=0)
    schedule: str = option(
        "const",
        "what the learning rate does after that: const: nothing; linear, cosine: it falls until "
        "grad_step anneal, in a straight line to a tenth or along a cosine to next to nothing",
        ("const", "linear", "cosine"),
    )
    anneal: int = option(0, "grad_step at which it has fallen, counted from the first", minimum=0)
    beta1: float = option(0.9, "decay of the average of updates", minimum=0, below=1)
    beta2: float = option(0.999, "decay of the mean square of gradients", minimum=0, below=1)
    nesterov: bool = option(False, "count the newest update as if the next one were equal to it")
