"""Run folders of tiny agents with recorded episodes, made without a training."""

import numpy as np
import tensorflow as tf

from dreamer_tf import agents
from dreamer_tf import config as configs
from dreamer_tf.replay.episode_file import write_episode
from dreamer_tf.replay.store import EpisodeName
from dreamer_tf.runs.checkpoint import Checkpoints
from dreamer_tf.runs.run_folder import save_spaces
from dreamer_tf.specs import Space

COLOR = Space(np.uint8, (16, 16, 3))
GREY = Space(np.uint8, (16, 16, 1))
NUMBERS = Space(np.float32, (3,))
BOX = {"action": Space(np.float32, (2,), -1, 1)}
NATIVE_BOX = {"action": Space(np.float32, (2,), [-2, 0], [2, 10])}
CATEGORY = {"action": Space(np.int32, (), 0, 3)}
NATIVE_CATEGORY = {"action": Space(np.int32, (), 5, 8)}
SEVERAL = BOX | {"buttons": Space(np.int32, (2,), 0, [2, 1])}
NATIVE_SEVERAL = NATIVE_BOX | {"buttons": Space(np.int32, (2,), [-1, 0], [1, 1])}
# agent -> observations, actions of the agent, actions of the environment
SPACES = {
    "planet": ({"image": COLOR, "arm": NUMBERS}, BOX, NATIVE_BOX),
    "dreamer": ({"image": GREY}, BOX, NATIVE_BOX),
    "dreamerv2": ({"arm": NUMBERS}, CATEGORY, NATIVE_CATEGORY),
    "dreamerv3": ({"image": COLOR, "robot/arm": NUMBERS}, SEVERAL, NATIVE_SEVERAL),
}
FRAMES = 600


def small_run(
    path,
    name,
    *,
    obs_space=None,
    lengths=(50,),
    frames=FRAMES,
    acted=True,
    checkpoint=True,
    **options,
):
    """Makes the folder of a run of 1000 frames.

    Args:
      path: The folder.
      name: Of the agent.
      obs_space: Dict of observation key to `Space`; None: the agent's of `SPACES`.
      lengths: Rows of each episode.
      frames: Frames of its checkpoint.
      acted: Whether it acted; else it learned from recorded episodes, and its frames are updates.
      checkpoint: Whether it has one.
      **options: Options by dotted key with ``__`` for the dot.

    Returns:
      The agent.
    """
    keys = {key.replace("__", "."): value for key, value in options.items()}
    config = configs.load(["debug"], {"agent": name, **keys}).config
    usual, act_space, native = SPACES.get(name, SPACES["dreamer"])
    obs_space = obs_space or usual
    configs.save(config, path)
    save_spaces(path, obs_space, act_space, native)
    agent = _make_agent(config, obs_space, act_space)
    if checkpoint:
        counts = {"env_frames": frames, "grad_steps": 1 if acted else frames}
        state = {"counters": counts | {"agent_steps": frames if acted else 0}}
        Checkpoints(path / "checkpoints", agent=agent).save(state, **counts)
    (path / "replay").mkdir()
    total = 0
    for serial, length in enumerate(lengths, 1):
        total += length - 1
        file = path / "replay" / str(EpisodeName(serial, length, total))
        rows = episode(obs_space, act_space, length, serial)
        write_episode(file, {key: [array] for key, array in rows.items()})
    return agent


def _make_agent(config, obs_space, act_space):
    tf.keras.utils.set_random_seed(0)
    agent = agents.make(config, obs_space, act_space)
    rng = np.random.default_rng(0)
    # Fresh heads answer zero, and fresh models hardly tell one action from another.
    for network in agent.networks.values():
        for variable in network.trainable_variables:
            variable.assign_add(rng.normal(0, 0.3, variable.shape))
    return agent


def episode(obs_space, act_space, length, seed):
    """Dict of ``[length, ...]``; the reward for arriving at a row is its number."""
    rng = np.random.default_rng(seed)
    rows = {key: _drawn(space, length, rng) for key, space in obs_space.items()}
    for key, space in act_space.items():
        rows[key] = np.stack([space.sample(rng) for _ in range(length)])
        rows[key][0] = 0
    rows["reward"] = np.arange(length, dtype=np.float32)
    places = np.arange(length)
    rows |= {"is_first": places == 0, "is_last": places == length - 1}
    return rows | {"is_terminal": rows["is_last"].copy()}


def _drawn(space, length, rng):
    if space.dtype == np.float32:
        return rng.normal(size=(length, *space.shape)).astype(np.float32)
    return np.stack([space.sample(rng) for _ in range(length)])
