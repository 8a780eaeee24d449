"""The mode action as a LiteRT (TensorFlow Lite) file."""

import pathlib
import re

import tensorflow as tf

from dreamer_tf.export.draws import FedDraws
from dreamer_tf.export.errors import ExportError


def convert(policy, names, path):
    """Writes ``policy.tflite``: the signature ``act`` for a batch of one.

    LiteRT has no seeded random numbers, so what ``act`` draws are further inputs ``draw_0``, … .
    Only operations of LiteRT itself are used: no TensorFlow is needed on the device.

    Args:
      policy: `Policy`.
      names: `Names`.
      path: File to write.

    Returns:
      Dict of JSON values: kind and shape of each draw under ``draws``.

    Raises:
      ExportError: If the policy needs operations that LiteRT does not have; names them.
    """
    specs = _specs(policy, names)
    draws = _find_draws(policy, names, specs)
    inputs = specs | {
        f"draw_{index}": tf.TensorSpec(shape, tf.float32, f"draw_{index}")
        for index, (_, shape) in enumerate(draws)
    }

    def act(**given):
        fed = FedDraws([given[f"draw_{index}"] for index in range(len(draws))])
        return _act(policy, names, given, fed)

    concrete = tf.function(act, autograph=False).get_concrete_function(**inputs)
    module = tf.Module(name="policy")
    module.weights = list(concrete.graph.variables)
    module.act = concrete
    folder = pathlib.Path(path).with_suffix(".saved_model")
    tf.saved_model.save(module, str(folder), signatures={"act": concrete})
    try:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["act"])
        path.write_bytes(converter.convert())
    except Exception as error:  # The converter raises many kinds, all for what it cannot convert.
        raise ExportError(f"LiteRT cannot run this policy: {_reason(error)}") from error
    finally:
        tf.io.gfile.rmtree(str(folder))
    return {"draws": [{"kind": kind, "shape": shape} for kind, shape in draws]}


def _specs(policy, names):
    specs = {
        names.obs[key]: tf.TensorSpec([1, *space.shape], space.dtype, names.obs[key])
        for key, space in policy.obs_space.items()
    }
    for key, spec in _memory(policy).items():
        name = names.state[key]
        specs[name] = tf.TensorSpec([1, *spec.shape], spec.dtype, name)
    return specs | {"is_first": tf.TensorSpec([1], tf.bool, "is_first")}


def _memory(policy):
    """The state without its seed."""
    return {key: spec for key, spec in policy.state.items() if key != "seed"}


def _find_draws(policy, names, specs):
    found = FedDraws()
    tf.function(
        lambda **given: _act(policy, names, given, found), autograph=False
    ).get_concrete_function(**specs)
    return found.specs


def _act(policy, names, given, draws):
    obs = {key: given[name] for key, name in names.obs.items()}
    state = {key: given[names.state[key]] for key in _memory(policy)}
    actions, state = policy.act_with_draws(obs, state, given["is_first"], draws)
    outputs = {names.actions[key]: action for key, action in actions.items()}
    return outputs | {names.state[key]: value for key, value in state.items()}


def _reason(error):
    """The operations that a converter's error complains about, or its first line."""
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
    if missing:
        return f"it does not have {', '.join(missing)}"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
