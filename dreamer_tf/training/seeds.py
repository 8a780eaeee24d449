"""Where random numbers begin: one seed for each purpose, and the generators of the libraries."""

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np

from dreamer_tf.runs.machine import start_tensorflow


def derive_seed(seed: int, *names: str) -> int:
    """A seed for one named part of a run, an int in [0, 2**31).

    Parts with different names get unrelated seeds, and the same name always gets the same one, so
    that adding a part does not change the numbers that another part draws.

    Args:
      seed: The run's seed.
      *names: What the seed is for, for example ``"replay"``.
    """
    text = "/".join(str(part) for part in (seed, *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def seed_libraries(seed: int, op_threads: int | None = None) -> None:
    """Starts TensorFlow (`start_tensorflow`), seeds it (so Keras, too), Python and NumPy."""
    start_tensorflow(op_threads)
    import tensorflow as tf

    random.seed(derive_seed(seed, "python"))
    np.random.seed(derive_seed(seed, "numpy"))
    tf.random.set_seed(derive_seed(seed, "tensorflow"))


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Afterwards Python's and NumPy's generators go on as if nothing had been drawn inside."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
