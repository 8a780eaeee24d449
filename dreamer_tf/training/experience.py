"""The replay that the config describes, and the policy whose experience it keeps."""

from dreamer_tf import specs
from dreamer_tf.config import ConfigError
from dreamer_tf.replay import (
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    Replay,
    UniformStarts,
    UniformWindows,
)
from dreamer_tf.training import seeding

_SAMPLERS = {"windows": UniformWindows, "starts": UniformStarts, "episode_ends": EpisodeEnds}


def make_replay(config, directory, agent):
    """Opens the replay of a run.

    Args:
      config: `Config`.
      directory: Its folder.
      agent: `dreamer_tf.agents.Agent`, whose spaces and carry it stores.

    Returns:
      `Replay`.

    Raises:
      ConfigError: If the agent has no carry that could be kept or go on from batch to batch.
    """
    options = config.replay
    if options.carry and not agent.carry_space:
        raise ConfigError(
            f"replay.carry is true, but the agent {config.agent!r} hands nothing that it carries "
            f"to the replay; set it to false."
        )
    if options.consecutive > 1 and not agent.initial_carry(1):
        raise ConfigError(
            f"replay.consecutive is {options.consecutive}, but the agent {config.agent!r} carries "
            f"nothing from batch to batch; set it to 1."
        )
    return Replay(
        directory,
        specs.row_spaces(agent.obs_space, agent.act_space),
        capacity=options.capacity,
        seed=seeding.derive(config.seed, "replay"),
        sampler=_make_sampler(options),
        carry=agent.carry_space if options.carry else {},
        ongoing=options.ongoing,
    )


def training_policy(agent, replay):
    """The policy of training episodes.

    Args:
      agent: `dreamer_tf.agents.Agent`.
      replay: The `Replay` that stores them.

    Returns:
      Function of observations and state to actions and state, as `Driver.step` asks for. What
      the replay keeps of the agent's carry is among the actions.
    """

    def policy(obs, state):
        actions, state = agent.policy(obs, state, mode="train")
        if replay.carry_space:
            actions = actions | {key: value.numpy() for key, value in state.carry.items()}
        return actions, state

    return policy


def _make_sampler(options):
    sampler = _SAMPLERS[options.sampler]()
    if options.online:
        sampler = FreshFirst(sampler, options.online)
    if options.consecutive > 1:
        sampler = Consecutive(sampler, options.consecutive)
    return sampler
