"""The first lines of a run: what it computes with, measured where the config leaves that open."""

import time

import tensorflow as tf

from dreamer_tf.training.pace import updates_per_block

AUTO = "auto"
WORTH = 0.85
"""Share of the float32 time from which bfloat16 is chosen: above it, losses of its own (casts
between the products, which are not measured) may eat the gain."""
_IMAGINED = 15  # Steps of imagination, as in all presets.
_KERNELS = 12
_REPEATS = 3


def introduce(terminal, config, agent, counters, frames_per_step):
    """Says on what and with what the run computes, and at which pace it learns.

    Args:
      terminal: What `open_terminal` returned.
      config: `Config`.
      agent: `dreamer_tf.agents.Agent`.
      counters: `Counters`.
      frames_per_step: env_frames of an agent step.
    """
    devices = [device.name for device in tf.config.list_logical_devices("GPU")]
    terminal.message(
        f"device {', '.join(devices) or 'CPU'}, precision {config.precision}, "
        f"XLA {'on' if config.jit else 'off'}"
    )
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
    if counters.env_frames:
        terminal.message(
            f"continuing at {counters.env_frames:,} frames and {counters.grad_steps:,} updates"
        )
    if counters.env_frames >= config.steps:
        terminal.message(f"all {config.steps:,} frames are collected; --steps asks for more")


def choose_precision(agent, batch_size, length):
    """The precision in which this machine computes this agent's products in less time.

    An update is, most of all, the products with its kernels: over and over again with B rows,
    where it follows sequences, and some times with all B T, where it imagines. That many of each,
    casts included, are what is compared.

    Args:
      agent: `dreamer_tf.agents.Agent`, of which only the shapes of kernels matter.
      batch_size: Sequences (B).
      length: Rows of each (T).

    Returns:
      ``float32`` or ``mixed_bfloat16``, and why.
    """
    shapes = {
        tuple(variable.shape)
        for network in agent.networks.values()
        for variable in network.trainable_variables
        if len(variable.shape) == 2
    }
    if not shapes:
        return "float32", "nothing to measure"
    largest = sorted(shapes, key=lambda shape: -shape[0] * shape[1])[:_KERNELS]
    seconds = {
        dtype: length * _product_seconds(largest, batch_size, dtype)
        + _IMAGINED * _product_seconds(largest, batch_size * length, dtype)
        for dtype in (tf.float32, tf.bfloat16)
    }
    share = seconds[tf.bfloat16] / seconds[tf.float32]
    reason = f"products in bfloat16 take {share:.0%} of the time in float32"
    return "mixed_bfloat16" if share <= WORTH else "float32", reason


def _product_seconds(shapes, rows, dtype):
    """Seconds of a product ``[rows, m] [m, n]`` with each of the kernels ``[m, n]``, the best."""
    inputs = [tf.ones([rows, shape[0]]) for shape in shapes]
    kernels = [tf.fill(shape, 1e-3) for shape in shapes]

    @tf.function(autograph=False)
    def products(inputs, kernels):
        # One follows the other, as layers do.
        before = tf.zeros([])
        for left, right in zip(inputs, kernels, strict=True):
            product = tf.matmul(tf.cast(left + before, dtype), tf.cast(right, dtype))
            before = tf.nn.elu(tf.cast(product, tf.float32))[0, 0]
        return before

    times = []
    for _ in range(_REPEATS + 1):  # The first one traces.
        start = time.perf_counter()
        products(inputs, kernels).numpy()
        times.append(time.perf_counter() - start)
    return min(times[1:])
