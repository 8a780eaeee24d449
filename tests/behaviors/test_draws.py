"""What latents, actors and noise draw: as often as is likely, and each element for itself."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dreamer_tf.behaviors import (
    ActionEncoder,
    GaussianNoise,
    JointActor,
    OneHotActor,
    TanhNormalActor,
    TruncatedNormalActor,
)
from dreamer_tf.distributions import BoundedNormal, OneHot, TanhNormal, TruncatedNormal
from dreamer_tf.specs import Space
from dreamer_tf.world_model import CategoricalLatent, GaussianLatent

COUNT = 20_000
ACTIONS = {
    "buttons": Space(np.int32, (2,), 0, [2, 1]),
    "fire": Space(np.int32, (), 0, 3),
    "move": Space(np.float32, (2,), -1, 1),
}
STDS = {"init_std": 0.5, "min_std": 0.1}


def of_latent(latent, expected, sizes):
    """``draws``, what becomes of them, its expected mean and deviation, and its parts' sizes."""
    stats = latent.stats(np.random.default_rng(0).normal(size=(2, latent.outputs)))
    return latent.draws, lambda noise: latent.sample(stats, noise), expected(stats), sizes


def of_actor(actor, sizes):
    """The same of an actor's actions; of a tanh-Gaussian before the tanh."""
    tf.keras.utils.set_random_seed(0)
    actor.build(5)
    dist = actor.dist(np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32))
    undo = tf.atanh if isinstance(dist, TanhNormal) else tf.identity
    return actor.draws, lambda noise: undo(dist.sample(noise)), moments(dist), sizes


def moments(dist):
    match dist:
        case OneHot():
            return dist.probs, tf.sqrt(dist.probs * (1 - dist.probs))
        case TanhNormal():
            return dist.mean_before_tanh, dist.std
        case TruncatedNormal():
            exact = tfd.TruncatedNormal(dist.loc, dist.scale, -1.0, 1.0)
            return exact.mean(), exact.stddev()
        case BoundedNormal():
            return dist.mean, dist.std
    return [tf.concat(parts, -1) for parts in zip(*map(moments, dist.dists), strict=True)]


def of_noise(noise):
    mean, std = tf.zeros([2, 3]), tf.fill([2, 3], noise.scale)
    draws = lambda rng, shape: noise.draws(rng, [*shape, 3])  # noqa: E731
    return draws, lambda drawn: noise(mean, drawn, 0), (mean, std), [1] * 3


def of_one_hots(stats):
    return [tf.reshape(moment, [2, 12]) for moment in moments(OneHot(stats["logit"]))]


KINDS = {
    "gaussian": lambda: of_latent(GaussianLatent(3), lambda s: (s["mean"], s["std"]), [1] * 3),
    "categorical": lambda: of_latent(CategoricalLatent(3, 4), of_one_hots, [4] * 3),
    "tanh": lambda: of_actor(TanhNormalActor(1, 8, 3, mean_scale=5.0, **STDS), [1] * 3),
    "truncated": lambda: of_actor(TruncatedNormalActor(1, 8, 3, **STDS), [1] * 3),
    "one-hot": lambda: of_actor(OneHotActor(1, 8, 4), [4]),
    "joint": lambda: of_actor(
        JointActor(ActionEncoder(ACTIONS), 1, 8, out_scale=1.0), [3, 2, 4, 1, 1]
    ),
    "noise": lambda: of_noise(GaussianNoise(0.1)),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_elements_are_drawn_as_often_as_is_likely_and_independently(make):
    draws, sample, (mean, std), sizes = make()
    rng = tf.random.Generator.from_seed(0)
    found = sample(draws(rng, [COUNT, 2])).numpy()
    assert found.shape == (COUNT, 2, sum(sizes))
    np.testing.assert_array_less(np.abs(found.mean(0) - mean), 0.03 * std)
    np.testing.assert_allclose(found.std(0), std, rtol=0.05)
    parts = np.split(found, np.cumsum(sizes)[:-1], -1)
    # One number for each part; of a category its class.
    values = np.stack([part @ np.arange(1, part.shape[-1] + 1) for part in parts], -1)
    assert np.abs(np.corrcoef(values.reshape(COUNT, -1).T) - np.eye(2 * len(sizes))).max() < 0.03
    for column in values.reshape(COUNT, -1).T:
        assert abs(np.corrcoef(column[1:], column[:-1])[0, 1]) < 0.03
    assert not np.array_equal(found, sample(draws(rng, [COUNT, 2])))
