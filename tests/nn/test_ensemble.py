import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.nn import MLP, Ensemble


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_networks_are_plain_ones_side_by_side(norm):
    ensemble = Ensemble(3, 2, 5, 4, norm=norm)
    ensemble.build(6)
    rng = np.random.default_rng(1)
    for variable in [*ensemble.scales, *ensemble.offsets]:
        variable.assign(rng.normal(size=variable.shape))
    x = np.random.default_rng(0).standard_normal([2, 7, 6]).astype(np.float32)
    outputs = ensemble(tf.constant(x))
    assert outputs.shape == (3, 2, 7, 4)
    for index in range(3):
        plain = MLP(2, 5, 4, norm=norm)
        plain.build(6)
        parts = zip(plain.acts, ensemble.scales, ensemble.offsets, strict=norm == "layer")
        for layer, scale, offset in parts:
            layer.norm.scale.assign(scale[index, 0])
            layer.norm.offset.assign(offset[index, 0])
        for layer, kernel, bias in zip(
            [*plain.hidden, plain.out], ensemble.kernels, ensemble.biases, strict=True
        ):
            layer.kernel.assign(kernel[index])
            layer.bias.assign(bias[index, 0])
        np.testing.assert_allclose(outputs[index], plain(tf.constant(x)), rtol=1e-5, atol=1e-6)


def test_every_network_begins_elsewhere_with_the_scale_of_one():
    tf.keras.utils.set_random_seed(0)
    ensemble = Ensemble(4, 1, 300, 200)
    ensemble.build(100)
    for kernel, (size, width) in zip(ensemble.kernels, [(100, 300), (300, 200)], strict=True):
        values = kernel.numpy()
        np.testing.assert_allclose(values.std(axis=(1, 2)), (2 / (size + width)) ** 0.5, rtol=0.02)
        correlations = np.corrcoef(values.reshape(4, -1)) - np.eye(4)
        assert np.abs(correlations).max() < 0.05


def test_computing_in_bfloat16_returns_float32():
    ensemble = Ensemble(2, 1, 4, 3, dtype="mixed_bfloat16")
    ensemble.build(5)
    assert ensemble(tf.ones([2, 5])).dtype == tf.float32
    assert {variable.dtype for variable in ensemble.variables} == {"float32"}
