"""Updates that XLA compiles: they compute what the others do."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space, row_spaces

OBS_SPACE = {"position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
SETTINGS = {
    "planet": {"planet.overshooting_scale": 1.0},
    "dreamer": {},
    "dreamerv2": {"dreamerv2.explore.behavior": "plan2explore", "dreamerv2.slow_every": 1},
    "dreamerv3": {"dreamerv3.optimizer.warmup": 0},
}


def train(name, length, jit, noise=None):
    """An agent after an update, its metrics, and the draws, which are ``noise`` if given.

    Sequences have ``length`` rows.
    """
    tf.keras.utils.set_random_seed(0)
    options = {"agent": name, "jit": jit} | SETTINGS[name]
    agent = agents.make(config.load(["debug"], options).config, OBS_SPACE, ACT_SPACE)
    # XLA has random numbers of its own, so both get the same ones.
    noise = noise or agent.update_noise(2, length)
    agent.update_noise = lambda *shape: noise
    metrics, _ = agent.train_step(make_batch(2, length), agent.initial_carry(2))
    return agent, metrics, noise


def is_for_xla(agent):
    """Whether XLA has to compile the update that was made."""
    [function] = agent._train._list_all_concrete_functions()
    return function.function_def.attr["_XlaMustCompile"].b


def make_batch(*leading):
    rng = np.random.default_rng(0)
    batch = {
        key: rng.uniform(-1, 1, (*leading, *space.shape)).astype(space.dtype)
        for key, space in row_spaces(OBS_SPACE, ACT_SPACE).items()
        if space.dtype == np.float32
    }
    flags = ("is_first", "is_last", "is_terminal")
    batch |= {key: np.zeros(leading, bool) for key in flags}
    return {key: tf.constant(value) for key, value in batch.items()}


# Long sequences are not unrolled.
@pytest.mark.parametrize(("name", "length"), [*((name, 3) for name in SETTINGS), ("dreamerv3", 52)])
def test_a_compiled_update_equals_one_that_is_not(name, length):
    plain, expected, noise = train(name, length, jit=False)
    compiled, metrics, _ = train(name, length, jit=True, noise=noise)
    assert (is_for_xla(compiled), is_for_xla(plain)) == (True, False)
    assert metrics.keys() == expected.keys()
    for key, value in expected.items():
        # Near the bounds of actions the inverse tanh of this estimate amplifies the last bit.
        rtol = 1e-2 if (name, key) == ("dreamer", "actor_entropy") else 1e-3
        np.testing.assert_allclose(metrics[key], value, rtol=rtol, atol=1e-5, err_msg=key)
    for network, model in plain.networks.items():
        for a, b in zip(model.variables, compiled.networks[network].variables, strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-3, atol=2e-5, err_msg=a.path)
