"""The categorical state."""

import pytest
import tensorflow as tf

from dreamer_tf.world_model import CategoricalLatent


@pytest.mark.parametrize("unimix", [0.0, 0.01])
def test_shapes_and_the_divergence_of_equals(unimix):
    latent = CategoricalLatent(3, 4, unimix)
    rng = tf.random.Generator.from_seed(0)
    stats = latent.stats(rng.normal([5, 2, 12]))
    sample = latent.sample(stats, latent.draws(rng, [5, 2]))
    assert sample.shape == (5, 2, latent.size)
    assert tf.reduce_sum(sample).numpy() == pytest.approx(5 * 2 * 3)
    assert latent.entropy(stats).shape == (5, 2)
    assert abs(latent.kl(stats, stats).numpy()).max() < 1e-6
