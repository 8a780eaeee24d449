"""What a run says about itself before it begins: on what it computes, how much, and how long."""

from dreamer_tf.runs.forecast import tell_if_long
from dreamer_tf.training.pace import updates_per_block


def introduce(terminal, config, agent, counters, frames_per_step):
    """Says on what and with what the run computes, at which pace it learns, and if that is long.

    Args:
      terminal: What `open_terminal` returned.
      config: `Config`.
      agent: `dreamer_tf.agents.Agent`.
      counters: `Counters`.
      frames_per_step: env_frames of an agent step.
    """
    import tensorflow as tf

    devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    terminal.message(f"device {', '.join(devices) or 'CPU'}, precision {config.precision}")
    counts = agent.parameter_counts()
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    terminal.message(f"agent {config.agent}: {sum(counts.values()):,} parameters  {parts}".rstrip())
    if counts:
        every, rows = config.run.train_every, config.replay.batch_size * config.replay.batch_length
        updates = float(updates_per_block(config, frames_per_step))
        terminal.message(
            f"{frames_per_step} frames an action, {updates:.3g} updates per {every:,} frames: "
            f"{rows:,} rows an update, each row of experience replayed "
            f"{updates * rows * frames_per_step / every:.3g} times"
        )
        left = max(0, config.steps - counters.env_frames)
        weights = sum(counts.values())
        tell_if_long(terminal.message, weights, rows, left / every * updates, left)
    if counters.env_frames:
        terminal.message(
            f"continuing at {counters.env_frames:,} frames and {counters.grad_steps:,} updates"
        )
    if counters.env_frames >= config.steps:
        terminal.message(f"all {config.steps:,} frames are collected; --steps asks for more")
