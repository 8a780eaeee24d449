"""The mode action as a LiteRT (TensorFlow Lite) file."""

import pathlib
import re

import tensorflow as tf

from dreamer_tf.export.errors import ExportError
from dreamer_tf.export.fed import fed_act


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
    act, inputs, draws = fed_act(policy, names)
    concrete = act.get_concrete_function(**{spec.name: spec for spec in inputs})
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
    return {"draws": draws}


def _reason(error):
    """The operations that a converter's error complains about, or its first line."""
    missing = sorted(set(re.findall(r"'tf\.(\w+)' op", str(error))))
    if missing:
        return f"it does not have {', '.join(missing)}"
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
