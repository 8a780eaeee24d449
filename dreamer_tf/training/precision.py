"""In which precision a machine computes an agent in less time, by a short measurement."""

import dataclasses
import time

import tensorflow as tf

from dreamer_tf.config import Resolved
from dreamer_tf.training import session

AUTO = "auto"
WORTH = 0.85
"""Share of the float32 time from which bfloat16 is chosen: above it, losses of its own (casts
between the products, which are not measured) may eat the gain."""
_IMAGINED = 15  # Steps of imagination, as in most presets.
_KERNELS = 12
_REPEATS = 3


def make_settled_agent(resolved, obs_space, act_space, tell, kind=None):
    """Builds the agent; the precision ``auto`` is replaced by the one that is chosen.

    Args:
      resolved: `Resolved`.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to `Space`.
      tell: Function that is told what was chosen, and why.
      kind: As for `session.make_agent`.

    Returns:
      `Resolved`, and the agent in that precision.
    """
    config = resolved.config
    if config.precision != AUTO:
        return resolved, session.make_agent(config, obs_space, act_space, kind)

    def make(precision):
        chosen = dataclasses.replace(config, precision=precision)
        session.seed_libraries(config.seed)  # Weights begin as they do without a measurement.
        return chosen, session.make_agent(chosen, obs_space, act_space, kind)

    chosen, agent = make("float32")
    rows = config.replay.batch_size, config.replay.batch_length
    precision, reason = choose_precision(agent, *rows)
    tell(f"precision auto: {precision}, because {reason}")
    if precision != "float32":
        chosen, agent = make(precision)
    origins = resolved.origins | {"precision": f"auto: {reason}"}
    return Resolved(chosen, origins, resolved.presets), agent


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
