"""From the one seed of a run to a distinct seed for everything that draws random numbers."""

import hashlib
import random

import numpy as np

from dreamer_tf.runs.machine import start_tensorflow


def derive_seed(seed: int, *names: str) -> int:
    """A seed for one named part of a run.

    Parts with different names get unrelated seeds, and the same name always gets the same one, so
    that adding a part does not change the numbers that another part draws.

    Args:
      seed: The run's seed.
      *names: What the seed is for, for example ``"replay"``.

    Returns:
      An int in [0, 2**31).
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seed_libraries(seed: int) -> None:
    """Seeds the global generators of Python, NumPy and TensorFlow (and so Keras initialisers)."""
    # Imported here so that deriving the seeds of environments does not wait for TensorFlow.
    start_tensorflow()
    import tensorflow as tf

    random.seed(derive_seed(seed, "python"))
    np.random.seed(derive_seed(seed, "numpy"))
    tf.random.set_seed(derive_seed(seed, "tensorflow"))
