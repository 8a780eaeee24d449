"""Actions of the environment to vectors and back."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import ActionEncoder, ActionPart
from dreamer_tf.specs import Space

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
