"""A policy as a TensorFlow SavedModel with everything that belongs to it beside it.

::

    saved_model.pb, variables/   the graph and its weights; TensorFlow alone loads them
    export.json                  observations, actions and inputs, for programs
    README.md                    how to call it, for people
    weights/<name>.weights.h5    the weights of each network in Keras format
    policy.tflite                the mode action for LiteRT, where its operations allow
    policy.onnx                  the same for ONNX, where it is asked for
"""

import dataclasses
import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from dreamer_tf.export import litert, onnx
from dreamer_tf.export.checks import check_free, check_onnx
from dreamer_tf.export.errors import ExportError, OnnxError
from dreamer_tf.export.folders import made_whole
from dreamer_tf.export.readme import readme
from dreamer_tf.specs import Space, space_to_json

MANIFEST = "export.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Policy:
    """What an agent hands over. All functions work on dicts of tensors ``[N, ...]`` with N open.

    Attributes:
      agent: Name of the algorithm.
      obs_space: Dict of observation key to `Space`.
      act_space: Dict of action key to the environment's own `Space`.
      state: Dict of state key to the ``tf.TensorSpec`` of one row.
      initial_state: Function of a scalar N to a state.
      act: Function of observations, state, ``is_first`` and a mode to actions and the next state.
      imagine: Function of a state and actions ``[N, H, ...]`` to predictions ``[N, H, ...]`` and
        the state after them.
      act_with_draws: As ``act`` in the mode ``eval`` but for one row, without the state's seed,
        and with the draws as the last argument, see `FedDraws`.
      predictions: Names of what ``imagine`` predicts.
      networks: Dict of name to Keras model.
    """

    agent: str
    obs_space: dict[str, Space]
    act_space: dict[str, Space]
    state: dict[str, tf.TensorSpec]
    initial_state: Callable
    act: Callable
    imagine: Callable
    act_with_draws: Callable
    predictions: list[str]
    networks: dict[str, keras.Model]


def write(
    policy: Policy,
    path: str | os.PathLike,
    *,
    with_litert: bool = True,
    with_onnx: bool = False,
    info: Mapping[str, Any] | None = None,
) -> tuple[pathlib.Path, str | None]:
    """Writes an export, whole or not at all.

    Args:
      policy: `Policy`.
      path: Folder to make; it must not hold anything yet.
      with_litert: Whether to try to write ``policy.tflite``.
      with_onnx: Whether to write ``policy.onnx``.
      info: Dict of JSON values that ``export.json`` should hold too.

    Returns:
      The folder, and why there is no ``policy.tflite``: None if there is one, or none was wanted.

    Raises:
      ExportError: If the folder is taken or cannot be written, names collide, or ``policy.onnx``
        cannot be written; an `OnnxError` if ONNX cannot hold the policy.
    """
    path = pathlib.Path(path)
    try:
        check_free(path)
        if with_onnx:
            check_onnx()
        with made_whole(path) as folder:
            refusal = _write(policy, folder, with_litert, with_onnx, info or {})
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ExportError(f"the export {path} cannot be written: {reason}") from error
    return path, refusal


def _write(policy, folder, with_litert, with_onnx, info):
    names = Names(policy)
    # First of all: who then does without ONNX has waited for nothing else.
    held = _to_onnx(policy, names, folder / "policy.onnx") if with_onnx else None
    _save(signatures(policy, names), folder)
    (folder / "weights").mkdir()
    for name, network in policy.networks.items():
        network.save_weights(folder / "weights" / f"{name}.weights.h5")
    converted, refusal = None, None
    if with_litert:
        try:
            converted = litert.convert(policy, names, folder / "policy.tflite")
        except ExportError as error:
            refusal = str(error)
    with_draws = {"litert": converted} | ({"onnx": held} if held else {})
    manifest = _manifest(policy, names) | with_draws | info
    text = json.dumps(manifest, indent=2, allow_nan=False)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")
    text = readme(policy, names, converted, refusal, held)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return refusal


def _to_onnx(policy, names, path):
    try:
        return onnx.convert(policy, names, path)
    except ExportError as error:
        raise OnnxError(str(error)) from error


class Names:
    """What the inputs and outputs of the signatures are called.

    Observations and actions keep their keys, with ``_`` for what a signature does not allow in a
    name (``robot/arm`` is ``robot_arm``) and a number where two would be the same; a state's keys
    begin with ``state_``.
    """

    def __init__(self, policy):
        """Names everything.

        Args:
          policy: `Policy`.

        Raises:
          ExportError: If two names are the same.
        """
        self.obs = _plain(policy.obs_space)
        self.actions = _plain(policy.act_space)
        self.state = {key: f"state_{key}" for key in policy.state}
        names = [*self.obs.values(), *self.actions.values(), *self.state.values()]
        names += ["is_first", "reward", "cont"]
        taken = sorted({name for name in names if names.count(name) > 1})
        if taken:
            raise ExportError(f"several inputs or outputs would be called {', '.join(taken)}")


def _plain(keys):
    """Dict of key to a name of letters of ASCII, digits and underscores, each its own."""
    names = {}
    for key in keys:
        name = re.sub(r"[^0-9A-Za-z_]", "_", key)
        name = name if name[:1].isalpha() else f"x{name}"
        taken, plain = set(names.values()), name
        others = (f"{plain}_{number}" for number in itertools.count(len(taken)))
        names[key] = next(other for other in itertools.chain([name], others) if other not in taken)
    return names


def signatures(policy, names):
    """The four concrete functions by their name.

    Args:
      policy: `Policy`.
      names: `Names`.
    """
    state = {
        names.state[key]: _spec(names.state[key], [None, *spec.shape], spec.dtype)
        for key, spec in policy.state.items()
    }
    obs = _specs(policy.obs_space, names.obs, [None])
    actions = _specs(policy.act_space, names.actions, [None, None])
    is_first = {"is_first": _spec("is_first", [None], tf.bool)}

    def initial_state(batch_size):
        return _rename(policy.initial_state(batch_size), names.state)

    def act(mode):
        def choose(**given):
            chosen, after = policy.act(
                _pick(given, names.obs), _pick(given, names.state), given["is_first"], mode
            )
            return _rename(chosen, names.actions) | _rename(after, names.state)

        return choose

    def imagine(**given):
        seen, after = policy.imagine(_pick(given, names.state), _pick(given, names.actions))
        return _rename(seen, names.obs) | _rename(after, names.state)

    size = {"batch_size": _spec("batch_size", [], tf.int32)}
    return {
        "initial_state": _concrete(initial_state, size),
        "act": _concrete(act("eval"), obs | state | is_first),
        "act_sample": _concrete(act("train"), obs | state | is_first),
        "imagine": _concrete(imagine, state | actions),
    }


def _save(functions, folder):
    module = tf.Module(name="policy")
    # tf.Module does not find the weights of Keras models that hold their layers in lists; what the
    # graphs read is known exactly.
    used = {id(v): v for function in functions.values() for v in function.graph.variables}
    module.weights = list(used.values())
    tf.saved_model.save(module, str(folder), signatures=functions)


def _manifest(policy, names):
    return {
        "format": FORMAT,
        "agent": policy.agent,
        "observations": _described(policy.obs_space, names.obs),
        "actions": _described(policy.act_space, names.actions),
        "state": {
            names.state[key]: {"dtype": spec.dtype.name, "shape": list(spec.shape)}
            for key, spec in policy.state.items()
        },
    }


def _described(spaces, names):
    return {key: space_to_json(space) | {"name": names[key]} for key, space in spaces.items()}


def _concrete(function, specs):
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _specs(spaces, names, leading):
    return {
        names[key]: _spec(names[key], [*leading, *space.shape], space.dtype)
        for key, space in spaces.items()
    }


def _spec(name, shape, dtype):
    return tf.TensorSpec(shape, dtype, name)


def _pick(given, names):
    return {key: given[name] for key, name in names.items()}


def _rename(values, names):
    return {names.get(key, key): value for key, value in values.items()}
