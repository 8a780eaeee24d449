"""Leading axes, and the loop over time against a plain one."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.ops import linear, merge_leading, restore_leading, scan, swap_time
from tests.golden_data import assert_close

# ---- The loop over time.


RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=[60, 4, 3]).astype(np.float32)
START = RNG.normal(size=[4, 3]).astype(np.float32)
WEIGHTS = RNG.normal(size=[3, 3]).astype(np.float32)


def steps(length):
    state, states = START, []
    for t in range(length):
        state = np.tanh(state @ WEIGHTS + INPUTS[t])
        states.append(state)
    return np.stack(states)


def step(state, inputs):
    return tf.tanh(state @ WEIGHTS + inputs)


@pytest.mark.parametrize("length", [1, 2, 20, 21, 60])
@pytest.mark.parametrize("run", [lambda f: f(), lambda f: tf.function(f)()], ids=["eager", "graph"])
def test_states_are_those_of_the_steps(length, run):
    states = run(lambda: scan(step, tf.constant(START), tf.constant(INPUTS), length))
    np.testing.assert_allclose(states, steps(length), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [3, 60])
def test_states_may_hold_more_than_the_first_one(length):
    def pair(before, inputs):
        state = step(before["state"], inputs["x"])
        return {"state": state, "twice": (2 * state, inputs["x"])}

    states = scan(pair, {"state": tf.constant(START)}, {"x": tf.constant(INPUTS)}, length)
    np.testing.assert_allclose(states["state"], steps(length), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(states["twice"][0], 2 * steps(length), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(states["twice"][1], INPUTS[:length])


@pytest.mark.parametrize("length", [5, 60])
def test_gradients_are_those_of_the_steps(length):
    """Those of the start, of every step's inputs, and of what is the same in all steps."""
    given = [tf.constant(x) for x in (START, INPUTS, WEIGHTS)]

    def gradients(run):
        with tf.GradientTape() as tape:
            tape.watch(given)
            state, inputs, weights = given
            states = run(lambda state, x: tf.tanh(state @ weights + x), state, inputs)
            loss = tf.reduce_sum(states * tf.constant(INPUTS[:length]))
        return tape.gradient(loss, given)

    def unrolled(step, state, inputs):
        states = []
        for x in tf.unstack(inputs[:length]):
            state = step(state, x)
            states.append(state)
        return tf.stack(states)

    scanned = tf.function(lambda: gradients(lambda *args: scan(*args, length)))()
    for one, other in zip(scanned, gradients(unrolled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("length", "expected"), [(20, 20), (21, 2), (500, 2)])
def test_long_sequences_are_traced_once(length, expected):
    calls = []

    def counted(state, inputs):
        calls.append(1)
        return step(state, inputs)

    inputs = tf.zeros([500, 4, 3])
    traced = tf.function(lambda: scan(counted, tf.constant(START), inputs, length))
    assert traced.get_concrete_function().output_shapes == (length, 4, 3)
    assert len(calls) == expected  # Of a loop the step before the loop, and the loop's body.


def test_a_loop_makes_its_steps_in_order():
    """In parallel, gradients were rounded in another way from run to run."""
    traced = tf.function(lambda: scan(step, tf.constant(START), tf.constant(INPUTS), 60))
    operations = traced.get_concrete_function().graph.get_operations()
    loops = [op.get_attr("parallel_iterations") for op in operations if "While" in op.type]
    assert loops == [1]


ROWS = RNG.normal(size=[6, 512, 3]).astype(np.float32)
FIRST = RNG.normal(size=[512, 3]).astype(np.float32)


@pytest.mark.parametrize(
    ("threads", "rows", "calls"), [(1, 512, 12), (0, 512, 6), (1, 510, 6), (1, 511, 6)]
)
def test_many_rows_are_two_chains_where_operations_have_one_thread(
    monkeypatch, threads, rows, calls
):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: threads)
    widths = []

    def counted(before, x):
        state = tf.tanh(before["state"] @ WEIGHTS + x["x"])
        widths.append(len(state))
        return {"state": state, "before": before["state"]}

    start, inputs = (tf.constant(x) for x in (FIRST[:rows], ROWS[:, :rows]))
    with tf.GradientTape() as tape:
        tape.watch([start, inputs])
        states = scan(counted, {"state": start}, {"x": inputs}, 6)
        loss = tf.reduce_sum(tf.sin(states["state"]))
    gradients = tape.gradient(loss, [start, inputs])
    assert len(widths) == calls and sum(widths) == 6 * rows
    with tf.GradientTape() as tape:
        tape.watch([start, inputs])
        expected = [start]
        for x in tf.unstack(inputs):
            expected.append(tf.tanh(expected[-1] @ WEIGHTS + x))
        loss = tf.reduce_sum(tf.sin(tf.stack(expected[1:])))
    np.testing.assert_allclose(states["state"], expected[1:], atol=1e-6)
    np.testing.assert_allclose(states["before"], expected[:-1], atol=1e-6)
    for one, other in zip(gradients, tape.gradient(loss, [start, inputs]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_inputs_of_another_number_of_rows_stay_together(monkeypatch):
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1)
    few = tf.constant(ROWS[:, :256])
    states = scan(lambda s, x: s + tf.repeat(x, 2, axis=0), tf.constant(FIRST), few, 6)
    expected = FIRST + np.cumsum(np.repeat(few, 2, axis=1), axis=0)
    np.testing.assert_allclose(states, expected, atol=1e-5)


# ---- Products in the loop.

KERNELS = {
    "kernel": [3, 3],
    "bias": [3],
    "block": [2, 3, 4],  # Two blocks, and an input that they share.
    "shared": [2, 3, 4],
    "block_bias": [2, 1, 4],
    "back": [4, 3],
}


def plainly(inputs, kernels, bias, plus=0.0):
    return (
        sum(tf.matmul(x, kernel) for x, kernel in zip(inputs, kernels, strict=True)) + bias + plus
    )


def layered(product, weights):
    """A step with each kind of product; the third one has no bias."""

    def step(state, x):
        y = tf.tanh(product([state], [weights["kernel"]], weights["bias"], x))
        blocks = tf.stack([y, x])
        y = product([blocks, y[None]], [weights["block"], weights["shared"]], weights["block_bias"])
        return tf.tanh(tf.reduce_sum(tf.sin(y), 0) @ weights["back"])

    return step


def gradients_of(product, length):
    """Gradients of the start, the inputs and all weights, by name, of a scan of `layered`."""
    weights = {
        name: tf.constant(np.random.default_rng(index).normal(size=shape), tf.float32)
        for index, (name, shape) in enumerate(KERNELS.items())
    }
    given = {"state": tf.constant(START), "inputs": tf.constant(INPUTS), **weights}
    with tf.GradientTape() as tape:
        tape.watch(given)
        states = scan(layered(product, given), given["state"], given["inputs"], length)
        loss = tf.reduce_sum(states * tf.constant(INPUTS[:length]))
    return tape.gradient(loss, given)


@pytest.mark.parametrize(
    ("length", "run"),
    [(5, lambda f: f()), *((length, lambda f: tf.function(f)()) for length in (1, 5, 60))],
    ids=["eager-5", "graph-1", "graph-5", "graph-60"],
)
def test_weights_in_the_loop_get_the_gradients_of_plain_products(length, run):
    ours = run(lambda: gradients_of(linear, length))
    expected = tf.function(lambda: gradients_of(plainly, length))()
    for name, gradient in expected.items():
        assert_close(ours[name], gradient, tolerance=1e-4, name=name)


@pytest.mark.parametrize(("product", "expected"), [(linear, 2), (plainly, 5)])
def test_the_gradient_of_a_weight_is_one_product_for_all_steps_but_the_first(product, expected):
    graph = tf.function(lambda: gradients_of(product, 5)).get_concrete_function().graph
    products = [op for op in graph.get_operations() if op.type == "MatMul"]
    # Only the gradient of the kernel [3, 3] has both sides of three columns, over rows.
    over_rows = [op for op in products if op.get_attr("grad_a") or op.get_attr("transpose_a")]
    assert sum(op.outputs[0].shape == [3, 3] for op in over_rows) == expected


# ---- Axes.


@pytest.mark.parametrize("leading", [(4,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize("event", [(5,), (2, 2, 3)])
def test_merging_and_restoring_are_inverse(leading, event):
    x = tf.reshape(tf.range(np.prod(leading + event)), leading + event)
    merged = merge_leading(x, len(event))
    assert merged.shape == (np.prod(leading), *event)
    np.testing.assert_array_equal(restore_leading(merged, x, len(event)), x)
    narrower = merged[..., :1]
    assert restore_leading(narrower, x, len(event)).shape == (*leading, *event[:-1], 1)


def test_leading_axes_may_be_unknown():
    @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.float32)])
    def double(x):
        merged = merge_leading(x, 1)
        return restore_leading(2.0 * merged, x, 1)

    np.testing.assert_array_equal(double(tf.ones([4, 2, 3])), 2.0 * np.ones([4, 2, 3]))


def test_flags_are_swapped_without_a_transposition_of_flags():
    """OneDNN would log an error for it, and the graph must not bring it back."""
    flags = RNG.random([3, 4, 2]) < 0.5

    @tf.function(autograph=False)
    def swap(x):
        return swap_time(x)

    np.testing.assert_array_equal(swap(tf.constant(flags)), flags.swapaxes(0, 1))
    graph = swap.get_concrete_function(tf.constant(flags)).graph
    [transposed] = [op for op in graph.get_operations() if op.type == "Transpose"]
    assert transposed.inputs[0].dtype == tf.float32
    assert transposed.inputs[0].op.type != "Cast"  # TensorFlow would swap before it.
