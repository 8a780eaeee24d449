"""Groups of options that several agents have: their networks, and PlaNet's planner.

Defaults are those of Dreamer (arXiv:1912.01603); an agent's own stand where it has its group, as
in ``section(HeadConfig, "reward model", layers=1, units=1024)``.
"""

import dataclasses

from dreamer_tf.config import shared
from dreamer_tf.config.fields import option


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    layers: int = option(3, "dense layers", minimum=1)
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
    min_std: float = shared.latent_min_std(0.1)


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
