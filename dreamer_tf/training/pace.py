"""How much an agent learns for what it plays."""

import fractions


def updates_per_block(config, frames_per_step):
    """Updates that are due after every ``run.train_every`` env_frames.

    Args:
      config: ``Config``. With ``run.train_ratio`` each row of experience is replayed that often on
        average, so that a batch of B sequences of T rows is due after B · T / ratio agent steps.
      frames_per_step: env_frames of an agent step.

    Returns:
      A fraction, so that none is lost or gained however long the run.
    """
    run, replay = config.run, config.replay
    if not run.train_ratio:
        return _exact(run.train_updates)
    agent_steps = fractions.Fraction(run.train_every, frames_per_step)
    return agent_steps * _exact(run.train_ratio) / (replay.batch_size * replay.batch_length)


def _exact(number):
    # By way of the decimal text: a tenth written in a config is meant as exactly a tenth.
    return fractions.Fraction(str(number))
