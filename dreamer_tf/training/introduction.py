"""What a run says about itself: on what it computes, how much and how long, or why for nothing."""

from dreamer_tf.common import counted, duration, rounded
from dreamer_tf.runs.forecast import rough_seconds
from dreamer_tf.training.pace import updates_per_block

_LONG = 86400


def introduce(tell, config, agent, counters, frames_per_step):
    """Says on what and with what the run computes, at which pace it learns, and if that is long.

    Args:
      tell: Function of a line of text.
      config: `Config`.
      agent: `dreamer_tf.agents.Agent`.
      counters: `Counters`: where the run continues.
      frames_per_step: env_frames of an agent step.
    """
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    devices = [device.name.removeprefix("/device:") for device in gpus]
    xla = "on" if config.jit else "off"
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    shared = f", {counted(threads, 'thread')} an operation" if threads else ""
    tell(f"device {', '.join(devices) or 'CPU'}, precision {config.precision}, XLA {xla}{shared}")
    counts = agent.parameter_counts()
    weights = sum(counts.values())
    parts = ", ".join(f"{name}\u00a0{count:,}" for name, count in counts.items())
    tell(f"agent {config.agent}: {weights:,} parameters  {parts}".rstrip())
    left = max(0, config.steps - counters.env_frames)
    if counts:
        if devices and not config.jit and config.run.devices == 1:
            tell("--jit true may make updates several times as quick on a GPU, once compiled")
        every, rows = config.run.train_every, config.replay.batch_size * config.replay.batch_length
        updates = float(updates_per_block(config, frames_per_step))
        tell(
            f"{counted(frames_per_step, 'frame')} an action, {rounded(updates)} updates in "
            f"{counted(every, 'frame')}: {rows:,} rows an update, each row of experience replayed "
            f"{rounded(updates * rows * frames_per_step / every)} times"
        )
        _tell_if_long(tell, weights, rows, left / every * updates, left)
    if counters.env_frames:
        tell(f"continuing at {counters.env_frames:,} frames and {counters.grad_steps:,} updates")
    if not left:
        tell(f"all {config.steps:,} frames are collected; --steps asks for more")


def _tell_if_long(tell, weights, rows, updates, frames):
    seconds = rough_seconds(weights, rows, updates)
    if seconds >= _LONG:
        tell(
            f"this is long: {updates:,.0f} updates for {frames:,} frames take {duration(seconds)} "
            f"on this machine by a rough count, and may take several times that; it is measured "
            f"when learning starts. --steps asks for fewer frames, and presets that end in cpu "
            f"are for two cores"
        )


def nothing_learned(config, replay, env_frames, is_ready):
    """Why a run ended without an update, as a line of text.

    Args:
      config: `Config`.
      replay: `dreamer_tf.replay.Replay`.
      env_frames: Frames collected.
      is_ready: Whether the replay holds enough to learn from.
    """
    if env_frames <= config.run.prefill:
        reason = f"run.prefill is {config.run.prefill:,} of {config.steps:,} frames"
    elif not is_ready:
        reason = (
            f"a sequence of {config.replay.batch_length} rows needs an episode of that many, a "
            f"train ratio as many rows as a batch has, and the replay holds "
            f"{replay.episodes:,} ended ones with {replay.rows:,} rows"
        )
    else:
        reason = f"updates are due every {config.run.train_every:,} frames after the prefill"
    return (
        f"nothing was learned: no update was made ({reason}); the agent is as it was at the start"
    )
