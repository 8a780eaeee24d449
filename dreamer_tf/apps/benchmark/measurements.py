"""What the benchmark measures, one section each; every function returns a dict of numbers.

Times are in seconds, sizes in bytes. ``seconds`` always says how long to measure; only updates take
as long as they take.
"""

import contextlib
import dataclasses
import functools
import resource
import statistics
import sys
import time

import numpy as np
import psutil
import tensorflow as tf

from dreamer_tf import specs
from dreamer_tf.apps.benchmark.flops import count_flops
from dreamer_tf.envs import EnvDied, EnvError
from dreamer_tf.runs.machine import machine
from dreamer_tf.runs.metrics import memory
from dreamer_tf.training import session
from dreamer_tf.training.driver import Driver, training_policy
from dreamer_tf.training.guard import NonFiniteGuard
from dreamer_tf.training.learner import Carry, Learner, Stopwatch
from dreamer_tf.training.pace import Counters, updates_per_block

MATMUL_SIZE = 4096
REPLAY_EPISODES = 20
UNLIMITED_EPISODE_STEPS = 500


def synthetic_rows(spaces, shape, rng):
    """Rows with random content and no flag set.

    Args:
      spaces: Dict of key to `Space`, see `specs.row_spaces`.
      shape: Leading dimensions, such as ``[B, T]``.
      rng: ``numpy.random.Generator``.

    Returns:
      Dict of arrays ``[*shape, ...]``.
    """
    rows = {key: _draw(space, (*shape, *space.shape), rng) for key, space in spaces.items()}
    return rows | {key: np.zeros(shape, bool) for key in specs.FLAG_KEYS}


def _draw(space, shape, rng):
    if space.dtype == np.float32:
        return np.clip(rng.standard_normal(shape, np.float32), space.low, space.high)
    # Bounds that hold for every element: drawing with a bound for each takes many times as long.
    low, high = int(space.low.max()), int(space.high.min())
    return rng.integers(low, high, shape, space.dtype, endpoint=True)


class Update:
    """Makes one update after another on the same synthetic batch and waits for each."""

    def __init__(self, agent, batch_size, length):
        """Draws the batch.

        Args:
          agent: `dreamer_tf.agents.Agent`.
          batch_size: Sequences (B).
          length: Rows of each (T).
        """
        spaces = specs.row_spaces(agent.obs_space, agent.act_space)
        rows = synthetic_rows(spaces, (batch_size, length), np.random.default_rng(0))
        rows["is_first"][:, 0] = True
        self.train_step = agent.train_step
        self._batch = {key: tf.convert_to_tensor(array) for key, array in rows.items()}
        self._carry = agent.initial_carry(batch_size)

    def __call__(self):
        """Makes an update."""
        metrics, _ = self.train_step(self._batch, self._carry)
        for value in metrics.values():
            np.asarray(value)  # Waits for a device that works ahead.

    def count_flops(self):
        """Floating point operations of an update."""
        function = tf.function(self.train_step)
        return count_flops(function.get_concrete_function(self._batch, self._carry))


def updates(update, count):
    """Seconds of an update; one more comes first, for what only the second run of a graph sets up.

    Args:
      update: `Update` that was run already.
      count: How many to time.
    """
    update()
    times = [_seconds(update) for _ in range(count)]
    return {
        "count": count,
        "median_seconds": statistics.median(times),
        "min_seconds": min(times),
        "max_seconds": max(times),
    }


def replicated(team, agent, config, make_agent, update, one_seconds, count):
    """The same update on several devices, each with its share of the batch.

    Args:
      team: `Team`.
      agent: `dreamer_tf.agents.Agent`.
      config: `Config`.
      make_agent: As `session.make_agent`.
      update: `Update` of the agent alone.
      one_seconds: What one takes.
      count: How many to time.
    """
    update.train_step = team.lead(agent, config, make_agent).train_step
    update()
    seconds = updates(update, count)["median_seconds"]
    update.train_step = agent.train_step
    weights = {
        id(v): v.shape.num_elements()
        for n in agent.networks.values()
        for v in n.trainable_variables
    }
    return {
        "devices": config.run.devices,
        "median_seconds": seconds,
        "bytes_reduced": 4 * sum(weights.values()),
        "speedup": one_seconds / seconds,
        "efficiency": one_seconds / seconds / config.run.devices,
    }


def arithmetic(update, update_seconds):
    """The arithmetic of an update, and how near it comes to the speed of plain matrix products.

    Args:
      update: `Update`.
      update_seconds: What one takes.
    """
    flops = update.count_flops()
    rate = _matmul_rate(MATMUL_SIZE)
    return {
        "flops": flops,
        "flops_per_second": flops / update_seconds,
        "matmul_flops_per_second": rate,
        "floor_seconds": flops / rate,
        "ratio_to_floor": update_seconds * rate / flops,
    }


def _matmul_rate(size, repeats=5):
    """Operations per second of the best of a few float32 products ``[size, size]``.

    Where an operation has fewer threads than there are cores, several run side by side.
    """
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    count = max(1, machine()["usable_cores"] // threads) if threads else 1
    pairs = [[tf.random.normal([size, size]) for _ in range(2)] for _ in range(count)]

    @tf.function(autograph=False)
    def multiply():
        return [tf.matmul(*pair)[0, 0] for pair in pairs]

    times = [_seconds(lambda: [x.numpy() for x in multiply()]) for _ in range(repeats)]
    return count * 2 * size**3 / min(times)


def policy(agent, count, seconds):
    """Median latency of the policy in both modes, from NumPy to NumPy.

    Args:
      agent: `dreamer_tf.agents.Agent`.
      count: Environments side by side.
      seconds: Time for each mode.
    """
    spaces = specs.row_spaces(agent.obs_space, agent.act_space)
    obs = synthetic_rows(spaces, (count,), np.random.default_rng(0))
    latencies = {}
    for mode in ("train", "eval"):
        _, state = agent.policy(obs, mode=mode)
        act = functools.partial(agent.policy, obs, state, mode=mode)
        act()
        latencies[f"{mode}_seconds"] = statistics.median(_repeat(act, seconds))
    return {"batch_size": count, **latencies}


def fill(replay, spaces, steps):
    """Stores synthetic episodes.

    Args:
      replay: An empty `Replay`.
      spaces: Dict of key to `Space`, see `specs.row_spaces`.
      steps: Length of an episode in agent steps.
    """
    rng = np.random.default_rng(0)
    for _ in range(REPLAY_EPISODES):
        rows = synthetic_rows(spaces, (steps + 1,), rng)
        rows["is_first"][0] = rows["is_last"][-1] = True
        for index in range(steps + 1):
            replay.add({key: array[index] for key, array in rows.items()}, stream=0)


def episode_steps(config, frames_per_step):
    """Agent steps of an episode that ends by the time limit."""
    frames = config.env.time_limit or UNLIMITED_EPISODE_STEPS * frames_per_step
    return max(1, frames // frames_per_step)


def replay_sampling(replay, batch_size, length, seconds):
    """How fast the replay draws batches, without turning them into tensors.

    Args:
      replay: `Replay` with episodes, whose files the system still has in memory.
      batch_size: Sequences (B).
      length: Rows of each (T).
      seconds: Time to spend.
    """
    times = _repeat(lambda: replay.sample(batch_size, length), seconds)
    rate = len(times) / sum(times)
    return {
        "batches_per_second": rate,
        "rows_per_second": rate * batch_size * length,
        "rows": replay.rows,
        "bytes": replay.nbytes,
    }


def environment(config, notes, seconds):
    """Times one environment of the task in a worker process, with images and without.

    What cannot be had is None: images on a machine that cannot render, steps without them where
    the task always shows some.

    Args:
      config: `Config`.
      notes: List that is told why something is missing.
      seconds: Time for each figure.
    """
    figures = dict.fromkeys(
        ("step_with_images_seconds", "step_without_images_seconds", "render_seconds")
    )
    for observations in ("pixels", "state"):
        shown = dataclasses.replace(config.env, observations=observations)
        choice = dataclasses.replace(config, env=shown)
        try:
            # A machine that cannot render says so when one is made, or at its first step.
            with session.make_vector_env(
                choice, None, count=1, seed=0, workers="process"
            ) as vector_env:
                images = any(space.is_image for space in vector_env.obs_space.values())
                key = f"step_{'with' if images else 'without'}_images_seconds"
                # Only dm_control has the choice; another task is the same a second time.
                if figures[key] is None:
                    figures[key] = statistics.median(_step_times(vector_env, seconds))
                if figures["render_seconds"] is None:
                    figures["render_seconds"] = _render_seconds(vector_env, notes, seconds)
        except EnvError as error:
            notes.append(f"No environment that shows {observations}: {error}")
    return figures


def _step_times(vector_env, seconds):
    """Seconds of steps with random actions, of one environment; beginnings of episodes left out."""
    rng = np.random.default_rng(0)
    times, reset, end = [], np.array([True]), time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        actions = {
            key: space.sample(rng)[np.newaxis] for key, space in vector_env.act_space.items()
        }
        start = time.perf_counter()
        arrived = vector_env.step(actions, reset)
        if not reset[0]:
            times.append(time.perf_counter() - start)
        reset = arrived["is_last"]
    return times


def _render_seconds(vector_env, notes, seconds):
    try:
        vector_env.render()
    except (EnvDied, EnvError) as error:
        notes.append(f"No picture rendered: {error}")
        return None
    return statistics.median(_repeat(vector_env.render, seconds))


def training(agent, vector_env, replay, config, folder, seconds):
    """env_frames per second of acting and learning in turns, as in a run.

    The updates of the preset's blocks are spread evenly over the frames between them, so that a
    short time sees both. The figure is computed from the seconds per frame and per update and the
    preset's ratio, and is therefore right wherever the measurement ends.

    Args:
      agent: `dreamer_tf.agents.Agent`.
      vector_env: `VectorEnv`, before its first step.
      replay: `Replay` with episodes; gets the rows that are played.
      config: `Config`.
      folder: Where to dump statistics of updates that fail.
      seconds: Time to spend; the last update may take longer.
    """
    counters, stopwatch = Counters(), Stopwatch()
    per_frame = updates_per_block(config, vector_env.frames_per_step) / config.run.train_every
    learner = Learner(
        agent,
        replay,
        carry=Carry(agent, config.replay.batch_size),
        batch_size=config.replay.batch_size,
        batch_length=config.replay.batch_length,
        counters=counters,
        stopwatch=stopwatch,
        guard=NonFiniteGuard(config.run.nonfinite_limit, folder),
    )
    driver = Driver(vector_env, [replay.add], carry=replay.carry_space)
    act = training_policy(agent, replay)
    driver.step(act)  # Episodes begin.
    end = time.perf_counter() + seconds

    def over():
        return time.perf_counter() >= end

    with contextlib.closing(learner):
        while not (over() and counters.env_frames):
            with stopwatch.section("acting"):
                steps = driver.step(act)
            counters.acted(steps, vector_env.frames_per_step)
            due = int(counters.env_frames * per_frame)
            learner.update(due - counters.grad_steps, over)
        if per_frame and not counters.grad_steps:
            learner.update(1, over)
    times, _ = stopwatch.take()
    seconds_per_frame = times["acting"] / counters.env_frames
    if counters.grad_steps:
        per_update = (times["updating"] + times["data"]) / counters.grad_steps
        seconds_per_frame += per_update * float(per_frame)
    return {
        "frames_per_second": 1 / seconds_per_frame,
        "env_frames": counters.env_frames,
        "grad_steps": counters.grad_steps,
    }


def memory_use():
    """Memory of this process, now and at most, and of the environments' workers."""
    unit = 1 if sys.platform == "darwin" else 1024
    workers = psutil.Process().children(recursive=True)
    return {
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        **{f"{name}_bytes": size for name, size in memory().items()},
        "workers_rss_bytes": sum(worker.memory_info().rss for worker in workers),
    }


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def _repeat(function, seconds):
    """Seconds of each call, over and over again for so long, at least one."""
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        times.append(_seconds(function))
    return times
