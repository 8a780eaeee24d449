"""Leading axes, and the loop over time against a plain one."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.ops import merge_leading, restore_leading, scan

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


@pytest.mark.parametrize("length", [1, 2, 50, 51, 60])
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


@pytest.mark.parametrize(("length", "expected"), [(50, 50), (51, 2), (500, 2)])
def test_long_sequences_are_traced_once(length, expected):
    calls = []

    def counted(state, inputs):
        calls.append(1)
        return step(state, inputs)

    inputs = tf.zeros([500, 4, 3])
    traced = tf.function(lambda: scan(counted, tf.constant(START), inputs, length))
    assert traced.get_concrete_function().output_shapes == (length, 4, 3)
    assert len(calls) == expected  # Of a loop the step before the loop, and the loop's body.


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
