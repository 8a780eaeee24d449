"""Counts the floating point operations of a traced function, from the shapes in its graph.

Counted are matrix products and convolutions, gradients included, as two operations for each
multiplication with its addition, zeros of a padding like other numbers. Activations, losses,
random numbers and the optimiser are left out: they are a small part of the arithmetic.
"""

import math
import re

import tensorflow as tf

_PRODUCT = re.compile("MatMul|Einsum|Conv[23][dD]")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_BRANCHES = ("If", "StatelessIf", "Case", "StatelessCase")
_LOOPS = ("While", "StatelessWhile")


def count_flops(function):
    """Operations of one call.

    Only what the results or the state depend on is counted: TensorFlow leaves out the rest, such
    as gradients that nobody asked for. Of a condition the dearest branch counts, of a loop as many
    rounds as its ``maximum_iterations``.

    Args:
      function: A ``tf.types.experimental.ConcreteFunction``, whose products have static shapes.

    Returns:
      An int.

    Raises:
      ValueError: If there is a product whose operations cannot be told: of an unknown kind, with
        unknown shapes, or in a loop without such a bound.
    """
    return _count_graph(function.graph)


def _count_graph(graph):
    return sum(_count(op) for op in _needed(graph))


def _needed(graph):
    """The operations of a function's graph that its outputs and side effects depend on."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed = set()
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return needed


def _count(op):
    if op.type in _KINDS:
        return _KINDS[op.type](op)
    if _PRODUCT.search(op.type):
        known = ", ".join(_KINDS)
        raise ValueError(f"cannot count {op.type} ({op.name}); what can be counted: {known}")
    counts = [_count_graph(graph) for graph in _called(op)]
    if op.type in _CALLS:
        return sum(counts)
    if op.type in _BRANCHES:
        return max(counts)
    if op.type in _LOOPS and (rounds := _rounds(op)) is not None:
        return rounds * sum(counts)
    if any(counts):
        raise ValueError(f"cannot tell how often {op.type} ({op.name}) computes its products")
    return 0


def _rounds(op):
    """The constant bound of a loop's rounds, or None.

    Whether a loop has one or not, TensorFlow passes the round first and the bound, or -1, second,
    and gives the bound on to the loop that computes the gradient.
    """
    bound = tf.get_static_value(op.inputs[1])
    return None if bound is None or bound < 0 else int(bound)


def _called(op):
    """The graphs of the functions that an operation calls."""
    values = op.node_def.attr.values()
    names = [value.func.name for value in values if value.HasField("func")]
    names += [function.name for value in values for function in value.list.func]
    # There is no public way from a call to the graph that it calls.
    return [op.graph._functions[name].graph for name in names]


def _matmul(op):
    left = _shape(op.inputs[0])
    transposed = op.get_attr("transpose_a" if op.type == "MatMul" else "adj_x")
    return 2 * math.prod(_shape(op.outputs[0])) * left[-2 if transposed else -1]


def _conv2d(op):
    return _convolution(kernel=op.inputs[1], filtered=op.outputs[0])


def _conv2d_input_gradient(op):
    return _convolution(kernel=op.inputs[1], filtered=op.inputs[2])


def _conv2d_kernel_gradient(op):
    return _convolution(kernel=op.outputs[0], filtered=op.inputs[2])


def _convolution(kernel, filtered):
    """Operations of a convolution and of both its gradients, which are equally many.

    The whole kernel is applied at each position of the convolution's result.
    """
    kernel = _shape(kernel)
    positions = math.prod(_shape(filtered)) // kernel[-1]
    return 2 * positions * math.prod(kernel)


def _einsum(op):
    equation = op.get_attr("equation").decode()
    terms = equation.partition("->")[0].split(",")
    if "." in equation or len(terms) > 2:
        raise ValueError(f"cannot count an Einsum of {equation} ({op.name})")
    if len(terms) == 1:
        return 0  # A sum, a diagonal or a transposition.
    sizes = {}
    for term, tensor in zip(terms, op.inputs, strict=True):
        sizes.update(zip(term, _shape(tensor), strict=True))
    return 2 * math.prod(sizes.values())


def _shape(tensor):
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"{tensor.name} has no static shape: {tensor.shape}")
    return tuple(tensor.shape)


_KINDS = {
    "MatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "Einsum": _einsum,
    "Conv2D": _conv2d,
    "Conv2DBackpropInput": _conv2d_input_gradient,
    "Conv2DBackpropFilter": _conv2d_kernel_gradient,
}
