"""Tiny agents of all four papers, with everything that looks at a batch as a whole, and batches."""

import numpy as np
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space, row_spaces

OBS_SPACE = {"position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
B, T = 4, 3
SETTINGS = {
    "planet": {"planet.overshooting_scale": 1.0},
    "dreamer": {
        "dreamer.objective": "contrastive",
        "dreamer.free_nats": 0.5,
        "dreamer.imag_horizon": 2,
    },
    "dreamerv2": {
        "dreamerv2.explore.behavior": "plan2explore",
        "dreamerv2.free_nats": 0.5,
        "dreamerv2.free_nats_per": "batch",
        "dreamerv2.reward_norm.momentum": 0.9,
        "dreamerv2.carry_state": True,
        "dreamerv2.imag_horizon": 2,
    },
    "dreamerv3": {
        "dreamerv3.optimizer.warmup": 0,
        "dreamerv3.optimizer.weight_decay": 0.1,
        "dreamerv3.imag_horizon": 2,
    },
}


def make_config(name, **options):
    return config.load(["debug"], {"agent": name} | SETTINGS[name] | options).config


def make_agent(cfg, obs_space=OBS_SPACE, act_space=ACT_SPACE):
    tf.keras.utils.set_random_seed(cfg.seed)
    agent = agents.make(cfg, obs_space, act_space)
    if cfg.agent == "dreamerv3":
        # Of points up to e²⁰, equally likely at first, a mean is rounded to half a unit or so, and
        # rounding is all that the two would differ in. These do not reach so far.
        behavior = agent.behavior
        for head in (
            agent.world_model.heads["reward"],
            behavior.critic,
            behavior.slow_critic.network,
        ):
            away = np.abs(np.arange(head.bins.shape[0]) - head.bins.shape[0] // 2)
            head.out.bias.assign(-4.0 * away)
    return agent


def make_batch(seed):
    rng = np.random.default_rng(seed)
    batch = {
        key: rng.uniform(-1, 1, (B, T, *space.shape)).astype(space.dtype)
        for key, space in row_spaces(OBS_SPACE, ACT_SPACE).items()
        if space.dtype == np.float32
    }
    # Sequences differ, so that a replica that looked at its own alone would see something else.
    batch["reward"] += np.arange(B, dtype=np.float32)[:, None]
    for key in ("is_first", "is_last", "is_terminal"):
        batch[key] = np.zeros((B, T), bool)
    batch["is_first"][0, 2] = batch["is_last"][0, 1] = batch["is_terminal"][0, 1] = True
    return {key: tf.constant(value) for key, value in batch.items()}


def weights(agent):
    return [v.numpy() for model in agent.networks.values() for v in model.trainable_variables]


def compare(one, train_step, first, updates):
    """Trains an agent, and by ``train_step`` one that began like it, and compares them.

    Args:
      one: Agent that learns by itself.
      train_step: Trains the other ones.
      first: One of these.
      updates: How often.

    Returns:
      Largest relative difference of a metric, with its name; largest difference of a carry and of
      a weight.
    """
    before = carry = one.initial_carry(B)
    metric, row = (0.0, ""), 0.0
    for step in range(updates):
        expected, before_rows = one.train_step(make_batch(step), before)
        metrics, rows = train_step(make_batch(step), carry)
        assert metrics.keys() == expected.keys()
        for key, value in expected.items():
            difference = abs(float(metrics[key]) - float(value)) / (abs(float(value)) + 1e-2)
            metric = max(metric, (difference, key))
        if before:
            before = {key: value[:, -1] for key, value in before_rows.items()}
            carry = {key: value[:, -1] for key, value in rows.items()}
            row = max(row, *(_difference(before_rows[key], rows[key]) for key in rows))
    return metric, row, max(map(_difference, weights(one), weights(first)))


def assert_agree(metric, row, weight):
    """Asserts that what `compare` returned is rounding."""
    limit = 2e-2 if metric[1] == "actor_entropy" else 5e-3  # Near zero it loses digits.
    assert metric[0] < limit and row < 1e-5 and weight < 1e-5, (metric, row, weight)


def _difference(a, b):
    return float(np.abs(np.asarray(a, np.float32) - np.asarray(b, np.float32)).max())
