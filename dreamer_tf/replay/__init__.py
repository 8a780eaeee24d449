"""Experience on disk: episodes stored one file each, sampled as sequences. NumPy only."""

from dreamer_tf.replay.episode_file import WrongSpacesError
from dreamer_tf.replay.prefetch import Prefetch
from dreamer_tf.replay.replay import Replay
from dreamer_tf.replay.samplers import (
    Batch,
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    Sampler,
    UniformStarts,
    UniformWindows,
)

__all__ = [
    "Batch",
    "Consecutive",
    "EpisodeEnds",
    "FreshFirst",
    "Prefetch",
    "Replay",
    "Sampler",
    "UniformStarts",
    "UniformWindows",
    "WrongSpacesError",
]
