"""Every option of an agent arrives where it counts: with another value something else comes out."""

import copy
import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.config.options import build
from dreamer_tf.specs import Space, row_spaces

AGENTS = ("planet", "dreamer", "dreamerv2", "dreamerv3")
OPTIONS = [key for key in config.options() if key.startswith(tuple(f"{a}." for a in AGENTS))]
SPACES = {
    "image": Space(np.uint8, (16, 16, 1)),
    "position": Space(np.float32, (2,)),
    "fire": Space(np.int32, (), 0, 3),
    "move": Space(np.float32, (2,), -1, 1),
}

# What the option needs beside it, by the beginning of its key, all that fit; the keys of
# observations and actions among that.
BESIDE = {
    "": {"actions": ("move",), "observations": ("position",)},
    "dreamer.cont.": {"discount_model": True},
    "dreamer.contrastive.": {"objective": "contrastive"},
    "dreamer.decoder.depth": {"observations": ("image",)},
    "dreamer.diagnostic_decoder": {"objective": "reward"},
    "dreamer.discount_scale": {"discount_model": True},
    "dreamer.encoder.depth": {"observations": ("image",)},
    "dreamer.exploration_decay": {"actions": ("fire",)},
    "dreamer.exploration_epsilon": {"actions": ("fire",)},
    "dreamer.free_nats_per": {"free_nats": 0.2},
    "dreamer.image_activation": {"observations": ("image",)},
    "dreamer.planner.": {"policy": "planner"},
    "dreamerv2.actor_gradient_mix": {"actor_gradient": "both"},
    "dreamerv2.cont.": {"discount_model": True},
    "dreamerv2.decoder.depth": {"observations": ("image",)},
    "dreamerv2.decoder.image_keys": {"observations": ("image", "position")},
    "dreamerv2.decoder.vector_keys": {"observations": ("image", "position")},
    "dreamerv2.discount_": {"discount_model": True},
    "dreamerv2.encoder.depth": {"observations": ("image",)},
    "dreamerv2.encoder.image_keys": {"observations": ("image", "position")},
    "dreamerv2.encoder.vector_keys": {"observations": ("image", "position")},
    "dreamerv2.explore.": {"explore.behavior": "plan2explore"},
    "dreamerv2.explore.behavior": {"explore.behavior": "task"},
    "dreamerv2.free_nats_per": {"free_nats": 0.11},
    "dreamerv2.kl_": {"free_nats": 0.0},
    "dreamerv2.planner.": {"policy": "planner"},
    "dreamerv2.slow_fraction": {"slow_every": 1},
    "dreamerv2.rssm.min_std": {"rssm.latent": "gaussian"},
    "dreamerv2.rssm.std_activation": {"rssm.latent": "gaussian"},
    # Learning from the first update on, and with returns that count as they are.
    "dreamerv3.": {
        "actions": ("fire", "move"),
        "optimizer.warmup": 0,
        "optimizer.learning_rate": 1e-2,
        "return_norm.limit": 1e-6,
    },
    "dreamerv3.decoder.": {"observations": ("image", "position")},
    "dreamerv3.diagnostic_decoder": {"objective": "r2"},
    "dreamerv3.dreamerpro.": {"objective": "dreamerpro", "observations": ("image",)},
    "dreamerv3.encoder.keys": {"observations": ("image", "position")},
    "dreamerv3.loss_scales.infonce": {"objective": "infonce"},
    "dreamerv3.loss_scales.norm": {"objective": "dreamerpro", "observations": ("image",)},
    "dreamerv3.loss_scales.r2": {"objective": "r2"},
    "dreamerv3.loss_scales.swav": {"objective": "dreamerpro", "observations": ("image",)},
    "dreamerv3.loss_scales.temp": {"objective": "dreamerpro", "observations": ("image",)},
    "dreamerv3.objective": {"observations": ("image",)},
    "dreamerv3.optimizer.anneal": {"optimizer.schedule": "linear", "optimizer.anneal": 9},
    "dreamerv3.optimizer.schedule": {"optimizer.anneal": 9},
    "dreamerv3.planner.": {"policy": "planner", "actions": ("move",)},
    "dreamerv3.policy": {"actions": ("move",)},
    "dreamerv3.pyramid.": {"observations": ("image",)},
    "dreamerv3.r2.": {"objective": "r2"},
    "planet.decoder.depth": {"observations": ("image",)},
    "planet.encoder.depth": {"observations": ("image",)},
    "planet.image_bits": {"observations": ("image",)},
    "planet.kl_scale": {"free_nats": 0.0},
    "planet.overshooting_distance": {"overshooting_scale": 1.0},
}
# Values, by the end of the key, where those of `another` do not fit or change nothing here.
VALUES = {
    "decoder.image_keys": "$^",
    "decoder.keys": "image",
    "decoder.vector_keys": "$^",
    "dreamerv2.slow_every": 1,
    "encoder.image_keys": "$^",
    "encoder.keys": "image",
    "encoder.vector_keys": "$^",
    ".exploration_decay": 1,
    ".grad_clip": 1e-3,
    ".image_bits": 2,
    ".observation_scales": '{"position": 0.5}',
    ".overshooting_distance": 2,
    ".bins": 21,
    ".window_sequences": 1,
    ".window_steps": 1,
}


def another(key, value):
    """A value that the option may have in place of this one."""
    found = [other for end, other in VALUES.items() if key.endswith(end)]
    option = config.options()[key]
    if found:
        return found[0]
    if option.choices:
        return option.choices[-1] if value != option.choices[-1] else option.choices[0]
    if option.kind is bool:
        return not value
    if option.kind is int:
        return 2 * value or 1
    if isinstance(value, tuple):
        return value[::-1]
    return option.kind(float(value) / 2 if float(value) > 1e-3 else 0.5)  # Or text of a number.


def beside(key):
    """The agent's name, its spaces, and what else the option needs, as options."""
    name, needs = key.partition(".")[0], {}
    for beginning, more in BESIDE.items():
        needs |= more if key.startswith(beginning) else {}
    spaces = needs.pop("observations"), needs.pop("actions")
    return name, spaces, {f"{name}.{option}": value for option, value in needs.items()}


@functools.cache
def tiny(name):
    """All options, tiny, of whichever agent."""
    return config.flatten(config.load(["debug"], {"agent": name}).config)


def stages(name, spaces, options):
    """What an agent is and does, bit by bit: its form, two updates, and its actions after each."""
    tf.keras.utils.set_random_seed(0)
    obs_space, act_space = ({key: SPACES[key] for key in keys} for keys in spaces)
    agent = agents.make(build(tiny(name) | options), obs_space, act_space)
    carry, batch = agent.initial_carry(2), make_batch(obs_space, act_space)
    yield [tuple(variable.shape) for variable in variables(agent)], list(carry)
    for _ in range(2):
        metrics, _ = agent.update(batch, agent.update_noise(2, 4), carry)
        assert metrics["nonfinite"] == 0
        yield metrics.keys(), [value.numpy().tobytes() for value in metrics.values()]
        yield [variable.numpy().tobytes() for variable in variables(agent)]
        for mode in ("train", "eval"):
            obs = {key: tf.repeat(batch[key][:1, 0], 16, axis=0) for key in obs_space}
            noise = agent.policy_noise(16, agent.rng, mode)
            begins = agent.initial_state(16), tf.ones([16], bool)
            actions, _ = agent.act(obs, *begins, noise, mode)
            yield [value.numpy().tobytes() for value in actions.values()]


def variables(agent):
    descendants = tf.train.TrackableView(agent).descendants()
    return [part for part in descendants if isinstance(part, tf.Variable | keras.Variable)]


def make_batch(obs_space, act_space):
    rng, batch = np.random.default_rng(0), {}
    for key, space in row_spaces(obs_space, act_space).items():
        shape = (2, 4, *space.shape)
        if space.dtype == np.float32:
            batch[key] = rng.uniform(-1, 1, shape).astype(np.float32)
        elif space.dtype == bool:
            batch[key] = np.zeros(shape, bool)
        else:
            batch[key] = rng.integers(space.low, space.high, shape, space.dtype, endpoint=True)
    batch["is_terminal"][0, 2] = True
    return {key: tf.constant(value) for key, value in batch.items()}


@functools.cache
def usual_stages(name, spaces, options):
    """An iterator over `stages` to be copied, so that each is computed once and when needed."""
    return itertools.tee(stages(name, spaces, dict(options)), 1)[0]


@pytest.mark.parametrize("name", AGENTS)
def test_equal_options_make_equal_agents(name):
    name, spaces, needs = beside(f"{name}.")
    usual = copy.copy(usual_stages(name, spaces, tuple(needs.items())))
    assert list(stages(name, spaces, needs)) == list(usual)


@pytest.mark.parametrize("key", OPTIONS)
def test_another_value_makes_a_difference(key):
    name, spaces, needs = beside(key)
    value = another(key, (tiny(name) | needs)[key])
    usual = copy.copy(usual_stages(name, spaces, tuple(needs.items())))
    changed = stages(name, spaces, needs | {key: value})
    assert any(ours != theirs for ours, theirs in zip(usual, changed, strict=False))


def test_what_options_need_beside_them_is_for_options_that_there_are():
    assert all(any(key.startswith(start) for key in OPTIONS) for start in BESIDE)
    assert all(any(key.endswith(end) for key in OPTIONS) for end in VALUES)
