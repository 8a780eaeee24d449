"""Environments: one interface over simulators, and worker processes that run them.

Needs NumPy only; a simulator's package is imported when one of its tasks is made. Nothing here
imports TensorFlow, so workers start fast and can render.
"""

from dreamer_tf.envs.base import Env, FrameEnv, make_row
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvAbandoned, EnvDied, EnvError
from dreamer_tf.envs.gym_vector import GymVectorEnv, Vectorized
from dreamer_tf.envs.preview import check_env
from dreamer_tf.envs.ray_host import RayNodes
from dreamer_tf.envs.recorded import RecordedEpisodes
from dreamer_tf.envs.registry import make
from dreamer_tf.envs.users import from_user
from dreamer_tf.envs.vector import VectorEnv

__all__ = [
    "CheckedEnv",
    "Env",
    "EnvAbandoned",
    "EnvDied",
    "EnvError",
    "FrameEnv",
    "GymVectorEnv",
    "RayNodes",
    "RecordedEpisodes",
    "VectorEnv",
    "Vectorized",
    "check_env",
    "from_user",
    "make",
    "make_row",
]
