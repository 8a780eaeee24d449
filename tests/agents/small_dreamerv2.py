"""A tiny DreamerV2, batches for it, and its parts."""

import numpy as np
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space

OBS_SPACE = {"image": Space(np.uint8, (64, 64, 3)), "position": Space(np.float32, (3,))}
VECTOR = {"position": Space(np.float32, (3,))}
BOX = {"action": Space(np.float32, (2,), -1, 1)}
CATEGORY = {"action": Space(np.int32, (), 0, 3)}
SPACES = {"box": BOX, "category": CATEGORY}

OPTIMIZERS = ("model_optimizer", "actor_optimizer", "critic_optimizer", "explore.optimizer")
NO_DECAY = {f"{name}.weight_decay": 0.0 for name in OPTIMIZERS}


def make_agent(obs_space=VECTOR, act_space=BOX, precision="float32", **overrides):
    tf.keras.utils.set_random_seed(0)
    options = {f"dreamerv2.{key}": value for key, value in overrides.items()}
    cfg = config.load(["debug"], {"agent": "dreamerv2", "precision": precision} | options).config
    return agents.make(cfg, obs_space, act_space)


def make_batch(obs_space=VECTOR, act_space=BOX, batch_size=3, length=6, seed=0):
    rng = np.random.default_rng(seed)
    leading = (batch_size, length)
    batch = {"reward": rng.uniform(0, 1, leading).astype(np.float32)}
    batch |= {key: np.zeros(leading, bool) for key in ("is_first", "is_last", "is_terminal")}
    for key, space in (obs_space | act_space).items():
        if space.dtype == np.float32:
            batch[key] = rng.uniform(-1, 1, (*leading, *space.shape)).astype(np.float32)
        else:
            top = int(space.high.max()) + 1
            batch[key] = rng.integers(0, top, (*leading, *space.shape)).astype(space.dtype)
    return {key: tf.constant(value) for key, value in batch.items()}


def snapshot(variables):
    return [variable.numpy() for variable in variables]


def unchanged(before, variables):
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))


def parts(agent):
    behavior = agent.behavior
    return {
        "model": agent.world_model.trainable_variables,
        "actor": behavior.actor.trainable_variables,
        "critic": behavior.critic.trainable_variables,
        "slow": behavior.slow_critic.network.variables,
    }


def steps(agent):
    behavior = agent.behavior
    return [agent.model_step, behavior.actor_step, behavior.critic_step]


# ------------------------------------------------------------- gradient routing
