"""Going on in the middle of episodes, as if a run had never been interrupted.

A checkpoint is made between two steps. It holds what the policy knew there, and the replay has the
rows of the episodes that were being played. Their environments are brought to the same place: they
are reset with the same seed and take the same actions again, and every row must be what it was.
Where one is not, or the run was killed after it had stored further episodes, the episode is cut off
where it was, and said.
"""

import base64

import numpy as np
import tensorflow as tf

from dreamer_tf.training.driver import BothStates

_ROWS_AT_ONCE = 256


def resume(state, replay, envs, most, tell):
    """Takes up the episodes that were being played, or cuts them off.

    Args:
      state: State of the checkpoint, from `Trainer.state`; None: there is none.
      replay: `Replay`; its own state is restored here.
      envs: `VectorEnv`; likewise, if its episodes are taken up.
      most: Agent steps of an episode that are played again at most.
      tell: Function of a text, for what the user should know.

    Returns:
      Dict of stream to the last row of its episode, for `Driver.resume`.

    Raises:
      EnvAbandoned: If the run is to stop before the episodes are where they were; the next start
        takes them up.
    """
    if state is not None:
        replay.restore(state["replay"])
    rows = {}
    if state is not None and "ongoing" in state:
        rows = _take_up(state, replay, envs, most, tell)
    cut = replay.cut_left()
    if cut:
        tell(
            f"{cut} unfinished {_episodes(cut)} of the last start cut off where it was stored last"
        )
    return rows


def _take_up(state, replay, envs, most, tell):
    ongoing = state["ongoing"]
    if replay.stored != ongoing["stored"] or len(state["envs"]) != len(envs):
        return {}
    # All that was begun after the checkpoint is played again.
    replay.forget_left(state["replay"]["begun"])
    envs.restore(state["envs"])
    episodes = {}
    for stream, number, rows in ongoing["episodes"]:
        if rows - 1 > most:
            tell(f"environment {stream}: {rows - 1:,} steps are more than env.resume_steps")
        elif episode := replay.resume(stream, number, rows):
            episodes[stream] = episode
    steps = max((len(episode) - 1 for episode in episodes.values()), default=0)
    if steps:
        tell(f"playing {steps:,} steps again, up to where the run stopped")
    outcome = envs.play_again({stream: _rows(e, replay) for stream, e in episodes.items()})
    for stream, problem in outcome.items():
        if problem:
            replay.cut(stream)
            tell(
                f"environment {stream} cannot be brought to where it was ({problem}); its episode "
                f"is cut off there, so this run is no longer the one that was not interrupted"
            )
    return {
        stream: {key: episode.read(key, len(episode) - 1, len(episode))[0] for key in replay.spaces}
        for stream, episode in episodes.items()
        if not outcome[stream]
    }


def _rows(episode, replay):
    """Yields the rows of an episode."""
    for start in range(0, len(episode), _ROWS_AT_ONCE):
        stop = min(start + _ROWS_AT_ONCE, len(episode))
        arrays = {key: episode.read(key, start, stop) for key in replay.spaces}
        for row in range(stop - start):
            yield {key: array[row] for key, array in arrays.items()}


def _episodes(count):
    return "episode is" if count == 1 else "episodes are"


# ---- What a policy knows, as JSON.


def to_json(states):
    """JSON value of the `BothStates` of a `HandOver`, bit for bit; `from_json` reads it.

    Random actions depend on nothing, so this is the `PolicyState` of the agent that learns.
    """
    if states is None or states.after is None:
        return None
    state = states.after
    keys = sorted(state.carry)
    tensors = tf.nest.flatten(state._replace(carry=())) + [state.carry[key] for key in keys]
    arrays = [(tensor.dtype.name, np.asarray(tensor)) for tensor in tensors]
    return {
        "carry": keys,
        "tensors": [
            {
                "dtype": name,
                "shape": array.shape,
                "data": base64.b64encode(array.tobytes()).decode(),
            }
            for name, array in arrays
        ],
    }


def from_json(value, random_agent, agent, count):
    """The `BothStates` of `to_json`.

    Args:
      value: JSON value.
      random_agent: Plays the seed episodes.
      agent: Plays afterwards.
      count: Environments (N).
    """
    before, after = random_agent.initial_state(count), agent.initial_state(count)
    return BothStates(before, None if value is None else _policy_state(value, after))


def _policy_state(value, initial):
    tensors = []
    for item in value["tensors"]:
        dtype = tf.as_dtype(item["dtype"]).as_numpy_dtype
        array = np.frombuffer(base64.b64decode(item["data"]), dtype).reshape(item["shape"])
        tensors.append(tf.convert_to_tensor(array))
    first = len(tensors) - len(value["carry"])
    # What acting carries has not always the keys of what learning starts from.
    carry = dict(zip(value["carry"], tensors[first:], strict=True))
    # The plan comes last, and is of no use to another way of acting, or to a longer horizon.
    known = initial._replace(carry=(), plan=())
    count = len(tf.nest.flatten(known))
    state = tf.nest.pack_sequence_as(known, tensors[:count])
    plan = tensors[count:first]
    fits = [p.shape for p in plan] == [p.shape for p in tf.nest.flatten(initial.plan)]
    plan = tf.nest.pack_sequence_as(initial.plan, plan) if fits else initial.plan
    return state._replace(carry=carry, plan=plan)
