"""The mode action as an ONNX file."""

import numpy as np
import tensorflow as tf

from dreamer_tf.export.checks import check_onnx
from dreamer_tf.export.errors import ExportError
from dreamer_tf.export.fed import fed_act

OPSET = 17  # With 18 tf2onnx 1.17 moves a mean over the wrong axis, and DreamerV3 is no model.
AFTER = "next_"
"""What the name of a state begins with where it comes out: an input has the name without it."""


def convert(policy, names, path):
    """Writes ``policy.onnx``: the mode action for a batch of one, with its draws as inputs.

    The state that goes in as ``state_deter`` comes out as ``next_state_deter``, and so on.

    Args:
      policy: `Policy`.
      names: `Names`.
      path: File to write.

    Returns:
      Dict of JSON values: kind and shape of each draw under ``draws``, and ``opset``.

    Raises:
      ExportError: If the converter is not installed, or the policy needs operations that ONNX does
        not have.
    """
    check_onnx()
    import onnx
    import tf2onnx

    act, inputs, draws = fed_act(policy, names)

    def by_place(*given):
        """The same with inputs by position, and other names for the state that comes out."""
        outputs = act(**{spec.name: x for spec, x in zip(inputs, given, strict=True)})
        taken = {spec.name for spec in inputs}
        return {AFTER * (name in taken) + name: value for name, value in outputs.items()}

    try:
        model, _ = tf2onnx.convert.from_function(
            tf.function(by_place, autograph=False),
            input_signature=inputs,
            opset=OPSET,
            custom_op_handlers={"Log1p": (_log1p, [])},
        )
        # The converter declares some inner shapes wrongly; every runtime infers them itself.
        del model.graph.value_info[:]
        # It also leaves in what it does not know.
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # Both raise many kinds, all for what cannot be converted.
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ExportError(f"ONNX cannot hold this policy: {first}") from error
    path.write_bytes(model.SerializeToString())
    return {"draws": draws, "opset": OPSET}


def _log1p(graph, node, name, args):
    """ln(1 + x), which the converter does not know, of two operations that it does."""
    del args
    one = graph.make_const(f"{name}_one", np.array(1, np.float32))
    added = graph.make_node("Add", [node.input[0], one.output[0]], name=f"{name}_add")
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    graph.remove_node(name)
    graph.make_node(
        "Log", added.output, outputs=node.output, name=name, shapes=[shape], dtypes=[dtype]
    )
