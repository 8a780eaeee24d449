"""Actions as one vector, and the policy over all of them."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import ActionEncoder, ActionPart, JointActor
from dreamer_tf.distributions import BoundedNormal, OneHot
from dreamer_tf.specs import Space

# ---- Vectors.


BOX = Space(np.float32, (2,), -1, 1)
DISCRETE = Space(np.int32, (), 0, 3)
SEVERAL = Space(np.int32, (2,), 0, [2, 1])
SPACES = {
    "box": {"action": BOX},
    "matrix": {"action": Space(np.float32, (2, 3), -1, 1)},
    "discrete": {"action": DISCRETE},
    "multi-discrete": {"action": SEVERAL},
    "dict": {"move": BOX, "buttons": SEVERAL, "fire": DISCRETE},
}


def test_the_example_of_the_docstring():
    encoder = ActionEncoder({"buttons": SEVERAL, "arm": BOX})
    vector = encoder.encode({"arm": np.float32([0.5, -1]), "buttons": np.int32([2, 0])})
    np.testing.assert_array_equal(vector, [0.5, -1, 0, 0, 1, 1, 0])
    assert encoder.size == 7
    assert encoder.parts == (
        ActionPart("arm", 0, 2, False),
        ActionPart("buttons", 2, 3, True),
        ActionPart("buttons", 5, 2, True),
    )


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("leading", [(), (5,), (3, 4)])
def test_decoding_gives_back_what_was_encoded(act_space, leading):
    rng = np.random.default_rng(0)
    draws = [
        {key: space.sample(rng) for key, space in act_space.items()}
        for _ in range(int(np.prod(leading)))
    ]
    actions = {
        key: np.stack([draw[key] for draw in draws]).reshape((*leading, *space.shape))
        for key, space in act_space.items()
    }
    encoder = ActionEncoder(act_space)
    vector = encoder.encode(actions | {"reward": np.zeros(leading)})
    assert vector.shape == (*leading, encoder.size) and vector.dtype == tf.float32
    decoded = encoder.decode(vector)
    assert decoded.keys() == actions.keys()
    for key, action in actions.items():
        assert decoded[key].dtype == action.dtype
        np.testing.assert_array_equal(decoded[key], action)


def test_the_order_of_the_keys_does_not_matter():
    act_space = SPACES["dict"]
    backwards = dict(reversed(act_space.items()))
    assert ActionEncoder(act_space).parts == ActionEncoder(backwards).parts


def test_decoding_takes_the_largest_element():
    encoder = ActionEncoder({"action": DISCRETE})
    vector = tf.constant([[0.1, 0.3, 0.4, 0.2], [2.0, -1.0, 0.0, 1.0]])
    np.testing.assert_array_equal(encoder.decode(vector)["action"], [2, 0])


def test_the_batch_size_may_be_unknown_to_the_graph():
    encoder = ActionEncoder(SPACES["dict"])

    @tf.function(input_signature=[tf.TensorSpec([None, encoder.size], tf.float32)])
    def there_and_back(vector):
        return encoder.encode(encoder.decode(vector))

    rng = np.random.default_rng(0)
    action = {key: space.sample(rng) for key, space in SPACES["dict"].items()}
    vector = tf.tile(encoder.encode(action)[None], [3, 1])
    np.testing.assert_array_equal(there_and_back(vector), vector)


def test_the_parts_cover_the_vector():
    encoder = ActionEncoder(SPACES["dict"])
    vector = tf.range(float(encoder.size))
    for part, values in zip(encoder.parts, encoder.split(vector), strict=True):
        np.testing.assert_array_equal(values, vector[part.start : part.start + part.size])


def test_other_spaces_are_refused_by_name():
    with pytest.raises(ValueError, match="'camera'.*uint8"):
        ActionEncoder({"camera": Space(np.uint8, (2,))})
    with pytest.raises(ValueError, match="at least one action"):
        ActionEncoder({})


# ---- The policy.


MIXED = {
    "move": Space(np.float32, (2,), -1, 1),
    "buttons": Space(np.int32, (2,), 0, [2, 1]),
    "fire": Space(np.int32, (), 0, 3),
}
FEAT = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)


def make_actor(act_space=MIXED, **options):
    tf.keras.utils.set_random_seed(0)
    actor = JointActor(ActionEncoder(act_space), 2, 16, **options)
    actor.build(FEAT.shape[-1])
    return actor


@pytest.fixture(scope="module")
def rng():
    return tf.random.Generator.from_seed(0)


def test_each_part_has_its_distribution():
    actor = make_actor()
    kinds = [type(dist) for dist in actor.dist(FEAT).dists]
    assert [part.key for part in actor.encoder.parts] == ["buttons", "buttons", "fire", "move"]
    assert kinds == [OneHot, OneHot, OneHot, BoundedNormal]


def test_samples_are_actions_of_the_spaces(rng):
    actor = make_actor(out_scale=1.0)
    dist = actor.dist(FEAT)
    vector = dist.sample(actor.draws(rng, [len(FEAT)]))
    assert vector.shape == (len(FEAT), actor.encoder.size)
    actions = actor.encoder.decode(vector)
    assert set(np.unique(actions["fire"])) == {0, 1, 2, 3}
    assert actions["buttons"].numpy().max(0).tolist() == [2, 1]
    np.testing.assert_allclose(
        actor.encoder.encode(actions), vector, atol=1e-6, err_msg="one-hot parts are exact"
    )


def test_log_probabilities_and_entropies_add_up(rng):
    actor = make_actor(out_scale=1.0)
    joint = actor.dist(FEAT)
    vector = joint.sample(actor.draws(rng, [len(FEAT)]))
    pieces = actor.encoder.split(vector)
    expected = sum(d.log_prob(x) for d, x in zip(joint.dists, pieces, strict=True))
    np.testing.assert_allclose(joint.log_prob(vector), expected, rtol=1e-5)
    entropies = joint.entropy()
    assert list(entropies) == ["buttons", "fire", "move"]
    both = joint.dists[0].entropy() + joint.dists[1].entropy()
    np.testing.assert_allclose(entropies["buttons"], both, rtol=1e-5)
    for key, (low, high) in joint.entropy_bounds().items():
        assert low <= np.min(entropies[key]) and np.max(entropies[key]) <= high + 1e-5


def test_it_begins_nearly_uniform():
    entropies, bounds = make_actor().dist(FEAT).entropy(), make_actor().dist(FEAT).entropy_bounds()
    for key in ("buttons", "fire"):
        np.testing.assert_allclose(entropies[key], bounds[key][1], rtol=1e-3)


def test_unimix_bounds_the_probability_of_every_action():
    dists = make_actor(unimix=0.2, out_scale=100.0).dist(FEAT).dists
    for dist, floor in zip(dists[:3], [0.2 / 3, 0.2 / 2, 0.2 / 4], strict=True):
        assert floor <= np.min(dist.probs) < 1.01 * floor


def test_the_mode_is_the_likeliest(rng):
    actor = make_actor(out_scale=1.0)
    dist, mode = actor.dist(FEAT), actor.mode(FEAT, rng)
    for _ in range(5):
        sample = dist.sample(actor.draws(rng, [len(FEAT)]))
        assert np.all(dist.log_prob(mode) >= dist.log_prob(sample) - 1e-5)


def test_every_weight_gets_a_gradient_from_log_probabilities(rng):
    actor = make_actor()
    vector = actor.dist(FEAT).sample(actor.draws(rng, [len(FEAT)]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(actor.dist(FEAT).log_prob(vector))
    gradients = tape.gradient(loss, [v.value for v in actor.trainable_variables])
    assert all(gradient is not None for gradient in gradients)
