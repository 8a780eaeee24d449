"""Counted operations against counts by hand."""

import pytest
import tensorflow as tf

from dreamer_tf.apps.benchmark.flops import count_flops
from dreamer_tf.ops import scan

BATCH = 2
CONV = 2 * BATCH * 3 * 3 * 5 * 4 * 4 * 3  # 3×3 positions, 5 filters of 4×4×3
DENSE = 2 * BATCH * 45 * 7  # 3·3·5 inputs, 7 outputs
DECONV = 2 * BATCH * 1 * 1 * 7 * 5 * 5 * 4  # 7 inputs at 1 position, each to 5×5×4 outputs


def forward(image, conv, dense, deconv):
    x = tf.nn.relu(tf.nn.conv2d(image, conv, 2, "VALID"))
    x = tf.matmul(tf.reshape(x, [BATCH, 45]), dense)
    x = tf.reshape(x, [BATCH, 1, 1, 7])
    return tf.nn.conv2d_transpose(x, deconv, [BATCH, 5, 5, 4], 2, "VALID")


@pytest.fixture
def weights():
    shapes = ([4, 4, 3, 5], [45, 7], [5, 5, 4, 7])
    return [tf.Variable(tf.ones(shape)) for shape in shapes]


def trace(function, *shapes):
    return tf.function(function).get_concrete_function(
        *[tf.TensorSpec(shape, tf.float32) for shape in shapes]
    )


IMAGE = [BATCH, 8, 8, 3]


def test_forward(weights):
    traced = trace(lambda image: forward(image, *weights), IMAGE)
    assert count_flops(traced) == CONV + DENSE + DECONV


def test_gradients_of_weights_but_not_of_the_image(weights):
    def gradients(image):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(forward(image, *weights) ** 2)
        return tape.gradient(loss, weights)

    assert count_flops(trace(gradients, IMAGE)) == 2 * CONV + 3 * DENSE + 3 * DECONV


def test_gradients_of_weights_and_image(weights):
    def gradients(image):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = tf.reduce_sum(forward(image, *weights) ** 2)
        return tape.gradient(loss, [image, *weights])

    assert count_flops(trace(gradients, IMAGE)) == 3 * (CONV + DENSE + DECONV)


def test_a_step_that_only_changes_variables_in_a_function_and_a_condition(weights):
    @tf.function
    def step(image):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(forward(image, *weights) ** 2)
        gradients = tape.gradient(loss, weights)

        def apply():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.assign_sub(gradient)

        tf.cond(tf.math.is_finite(loss), apply, lambda: None)

    traced = trace(lambda image: step(image), IMAGE)
    assert count_flops(traced) == 2 * CONV + 3 * DENSE + 3 * DECONV


@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("batch", [[], [6]])
def test_transposed_and_batched_products(transpose_a, transpose_b, batch):
    left = [*batch, 3, 2] if transpose_a else [*batch, 2, 3]
    right = [*batch, 5, 3] if transpose_b else [*batch, 3, 5]

    def product(a, b):
        return tf.matmul(a, b, transpose_a=transpose_a, transpose_b=transpose_b)

    assert count_flops(trace(product, left, right)) == 2 * 2 * 3 * 5 * (6 if batch else 1)


def test_grouped_convolution_sees_only_its_group():
    traced = trace(lambda x, w: tf.nn.conv2d(x, w, 1, "VALID"), [2, 6, 6, 8], [3, 3, 4, 10])
    assert count_flops(traced) == 2 * 2 * 4 * 4 * 10 * 3 * 3 * 4


def test_einsum():
    traced = trace(lambda x, w: tf.einsum("bgi,gio->bgo", x, w), [2, 3, 5], [3, 5, 7])
    assert count_flops(traced) == 2 * 2 * 3 * 5 * 7


def test_of_a_condition_the_dearest_branch_counts():
    def either(x, w):
        return tf.cond(x[0, 0] > 0, lambda: tf.matmul(tf.matmul(x, w), w), lambda: tf.matmul(x, w))

    assert count_flops(trace(either, [2, 3], [3, 3])) == 2 * 2 * 2 * 3 * 3


def test_a_loop_counts_as_often_as_it_runs_and_its_gradient_too():
    def gradients(inputs, weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(
                scan(lambda x, y: tf.matmul(x + y, weights), inputs[0], inputs, 60)
            )
        return tape.gradient(loss, weights)

    one = 2 * 5 * 3 * 3
    # The first step's inputs need no gradient.
    assert count_flops(trace(gradients, [60, 5, 3], [3, 3])) == one * (60 + 60 + 59)


def test_a_loop_without_products_counts_nothing():
    traced = trace(lambda x: tf.while_loop(lambda y: y < 9, lambda y: (2 * y,), [x]), [])
    assert count_flops(traced) == 0


def test_what_cannot_be_counted_is_an_error():
    def loop(x, w):
        return tf.while_loop(lambda y: y[0, 0] < 9, lambda y: (tf.matmul(y, w),), [x])

    with pytest.raises(ValueError, match="how often StatelessWhile"):
        count_flops(trace(loop, [3, 3], [3, 3]))
    with pytest.raises(ValueError, match="no static shape"):
        count_flops(trace(tf.matmul, [None, 3], [3, 3]))
    depthwise = trace(
        lambda x: tf.nn.depthwise_conv2d(x, tf.ones([3, 3, 3, 1]), [1, 1, 1, 1], "SAME"), IMAGE
    )
    with pytest.raises(ValueError, match="cannot count DepthwiseConv2dNative"):
        count_flops(depthwise)
