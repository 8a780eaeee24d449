"""Dense and normalised layers, and how weights begin, against the V3 recordings."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import MLP, ConcatMLP, LayerNorm, RMSNormSiLU, fan_in_normal
from tests.golden_data import Golden, assert_close

GOLDEN = Golden("v3_layers")
HIDDEN = {"norm": "rms_silu", "activation": "linear"}


@pytest.mark.parametrize("name, data", [("rms", "in/x"), ("rms_image", "in/img")])
def test_recorded_rms_norm(name, data):
    layer = RMSNormSiLU(GOLDEN.settings["norm_eps"])
    x = GOLDEN[data]
    layer.build(x.shape[-1])
    layer.scale.assign(GOLDEN[f"{name}/param/scale"])
    assert_close(layer(x), tf.nn.silu(GOLDEN[f"{name}/out"]))


def test_recorded_layer_norm():
    layer = LayerNorm(GOLDEN.settings["norm_eps"])
    x = GOLDEN["in/x"]
    layer.build(x.shape[-1])
    layer.scale.assign(GOLDEN["layernorm/param/scale"])
    layer.offset.assign(GOLDEN["layernorm/param/shift"])
    assert_close(layer(x), GOLDEN["layernorm/out"])


def test_recorded_mlp():
    x, recorded = GOLDEN["in/x"], GOLDEN.group("mlp/param")
    layers = sum(key.startswith("linear") for key in recorded) // 2
    mlp = MLP(layers, GOLDEN.settings["units"], 0, **HIDDEN)
    mlp.build(x.shape[-1])
    for index, (layer, act) in enumerate(zip(mlp.hidden, mlp.acts, strict=True)):
        layer.kernel.assign(recorded[f"linear{index}/kernel"])
        layer.bias.assign(recorded[f"linear{index}/bias"])
        act.norm.scale.assign(recorded[f"norm{index}/scale"])
    assert_close(mlp(x), GOLDEN["mlp/out"])


def test_a_concatenated_input_may_be_projected_ahead():
    x, y = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    split = ConcatMLP(2, 7, 4, **HIDDEN)
    split.build([3, 3])
    whole = MLP(2, 7, 4, **HIDDEN)
    whole.build(6)
    kernels = [kernel.numpy() for kernel in split.first.kernels]
    others = [v.numpy() for v in split.trainable_variables[len(kernels) :]]
    whole_values = [np.concatenate(kernels), *others]
    for variable, value in zip(_in_order(whole), whole_values, strict=True):
        variable.assign(value)
    expected = whole(np.concatenate([x, y], -1))
    np.testing.assert_allclose(split(x, y), expected, rtol=1e-5, atol=1e-6)
    projected = split(x, projected=split.project(1, y))
    np.testing.assert_allclose(projected, expected, rtol=1e-5, atol=1e-6)


def _in_order(mlp):
    """Variables of an `MLP` in the order of its layers."""
    variables = []
    for layer, act in zip(mlp.hidden, mlp.acts, strict=True):
        variables += [*layer.trainable_variables, *act.trainable_variables]
    return [*variables, *mlp.out.trainable_variables]


@pytest.mark.parametrize("shape", [(1200, 700), (4, 300, 50), (5, 5, 30, 80)])
def test_initial_weights_have_the_recorded_scale(shape):
    # As recorded in init/fan_*: all axes but the last, also for the blocks of a kernel.
    fan_in = np.prod(shape[:-1])
    weights = fan_in_normal()(shape).numpy()
    std = 1.1368 * fan_in**-0.5
    np.testing.assert_allclose(weights.std(), fan_in**-0.5, rtol=0.02)
    assert 1.95 * std < np.abs(weights).max() <= 2 * std * 1.0001


def test_a_scale_of_zero_gives_zeros():
    assert not fan_in_normal(0.0)((3, 4)).numpy().any()


def test_layers_of_one_shape_begin_differently():
    mlp = MLP(2, 8, 0, initializer=fan_in_normal(), **HIDDEN)
    mlp.build(8)
    first, second = (layer.kernel.numpy() for layer in mlp.hidden)
    assert not np.array_equal(first, second)


def test_a_split_kernel_begins_like_a_whole_one():
    split = ConcatMLP(1, 100, 5, initializer=fan_in_normal(), **HIDDEN)
    split.build([1000, 100])
    for kernel in split.first.kernels:
        np.testing.assert_allclose(kernel.numpy().std(), 1100**-0.5, rtol=0.05)
