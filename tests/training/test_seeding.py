"""Seeds for the parts of a run."""

import random

import numpy as np
import tensorflow as tf

from dreamer_tf.training.seeding import derive, seed_libraries


def test_derived_seeds_differ_by_name_and_seed_and_stay():
    seeds = {derive(seed, name) for seed in range(50) for name in ("envs", "replay", "agent")}
    assert len(seeds) == 150
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive(0, "replay") == derive(0, "replay")


def test_seeding_reaches_every_library():
    draws = []
    for seed in (1, 1, 2):
        seed_libraries(seed)
        draws.append((random.random(), np.random.rand(), float(tf.random.normal([]))))
    assert draws[0] == draws[1]
    assert all(a != b for a, b in zip(draws[0], draws[2], strict=True))
