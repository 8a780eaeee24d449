"""Spaces of gymnasium and gym."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from dreamer_tf.envs import EnvError
from dreamer_tf.envs.spaces import action_codecs, observation_codecs
from dreamer_tf.specs import Space


def encode(space, value, image_size=None):
    """Keys to the spaces and values that an observation turns into; not for Dicts."""
    ((key, codec),) = observation_codecs(space, image_size).items()
    encoded = codec.encode(value)
    codec.space.check(key, encoded)
    return key, codec.space, encoded


def decode(space, value):
    return action_codecs(space)["action"].decode(value)


def test_boxes_of_numbers_become_float32_vectors():
    box = spaces.Box(np.array([[0.0, -np.inf], [1, 2]]), np.array([[5.0, np.inf], [3, 4]]),
                     dtype=np.float64)  # fmt: skip
    key, space, value = encode(box, np.array([[1.0, 1e9], [1.5, 2.5]]))
    assert key == "vector"
    expected = Space(np.float32, (4,), [0, -np.inf, 1, 2], [5, np.inf, 3, 4])
    assert space == expected
    np.testing.assert_array_equal(value, np.float32([1, 1e9, 1.5, 2.5]))
    assert encode(spaces.Box(0, 255, (128,), np.uint8), np.arange(128, dtype=np.uint8))[2][5] == 5
    assert encode(spaces.Box(-1, 1, ()), np.float32(0.5))[2].tolist() == [0.5]


def test_a_box_of_numbers_that_looks_like_an_image_is_said(caplog):
    observation_codecs(spaces.Box(0, 1, (8, 8, 3)), None)
    assert "images must be uint8" in caplog.text


def test_images_get_channels_last():
    rng = np.random.default_rng(0)

    def image(*shape):
        return spaces.Box(0, 255, shape, np.uint8), rng.integers(0, 256, shape, np.uint8)

    space, value = image(20, 30, 3)
    key, _, encoded = encode(space, value)
    assert key == "image"
    np.testing.assert_array_equal(encoded, value)
    space, value = image(3, 20, 30)
    np.testing.assert_array_equal(encode(space, value)[2], np.moveaxis(value, 0, -1))
    space, value = image(20, 30)
    np.testing.assert_array_equal(encode(space, value)[2], value[:, :, None])
    space, value = image(20, 30, 4)
    assert encode(space, value)[2].shape == (20, 30, 4)


def test_images_are_resized_with_a_notice(caplog):
    gradient = np.broadcast_to(np.arange(128, dtype=np.uint8)[:, None, None] * 2, (128, 96, 2))
    space = spaces.Box(0, 255, gradient.shape, np.uint8)
    _, ours, value = encode(space, gradient, image_size=(64, 32))
    assert ours.shape == value.shape == (64, 32, 2)
    assert "128x96 are resized to 64x32" in caplog.text
    rows = value[:, 0, 0].astype(int)
    assert (np.diff(rows) > 0).all() and abs(rows[32] - 129) <= 2
    np.testing.assert_array_equal(value[..., 0], value[..., 1])


def test_images_of_the_right_size_are_not_touched(caplog):
    space = spaces.Box(0, 255, (64, 64, 3), np.uint8)
    value = space.sample()
    np.testing.assert_array_equal(encode(space, value, image_size=(64, 64))[2], value)
    assert not caplog.text


@pytest.mark.parametrize("size", [None, (32, 32)])
@pytest.mark.parametrize("largest", [1, 20, 127])
def test_bytes_of_a_small_range_are_stretched_before_they_are_resized(largest, size, caplog):
    space = spaces.Box(0, largest, (64, 64, 1), np.uint8)
    value = np.zeros((64, 64, 1), np.uint8)
    value[:32] = largest
    key, _, encoded = encode(space, value, size)
    assert key == "image" and set(encoded[0].flat) == {255} and set(encoded[-1].flat) == {0}
    assert f"'image': bytes from 0 to {largest} are stretched to 0 to 255" in caplog.text
    codec = observation_codecs(space, size)["image"]
    with pytest.raises(EnvError, match=rf"from 0 to {largest}.*got 0 to 255. Declare what"):
        codec.encode(np.where(value, 255, value).astype(np.uint8))
    assert codec.encode(value.astype(int)).dtype == np.int64  # Left for the check of the dtype.


@pytest.mark.parametrize("bounds", [(0, 255), (0, 254), (16, 235), (0, 128)])
def test_bytes_of_most_of_the_range_stay_as_they_are(bounds, caplog):
    space = spaces.Box(*bounds, (16, 16, 3), np.uint8)
    value = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    np.testing.assert_array_equal(encode(space, value)[2], value)
    assert not caplog.text


def test_each_channel_is_stretched_from_its_own_range():
    """Of a picture with labels in its last channel, and one that is constant."""
    high = np.full((3, 16, 20), 255, np.uint8)
    low = np.zeros_like(high)
    low[1], high[1] = 10, 15
    low[2] = high[2] = 7
    value = np.broadcast_to(np.array([100, 11, 7], np.uint8)[:, None, None], high.shape)
    pixels = encode(spaces.Box(low, high, dtype=np.uint8), value)[2].reshape(-1, 3)
    assert set(map(tuple, pixels.tolist())) == {(100, 51, 7)}


def test_categories_become_one_hot():
    assert encode(spaces.Discrete(4), np.int64(2))[2].tolist() == [0, 0, 1, 0]
    assert encode(spaces.Discrete(3, start=-1), -1)[2].tolist() == [1, 0, 0]
    value = encode(spaces.MultiDiscrete([2, 3]), np.array([1, 2]))[2]
    assert value.tolist() == [0, 1, 0, 0, 1]
    value = encode(spaces.MultiDiscrete([2, 3], start=[5, 0]), np.array([5, 0]))[2]
    assert value.tolist() == [1, 0, 1, 0, 0]
    value = encode(spaces.MultiBinary(3), np.array([1, 0, 1], np.int8))[2]
    assert value.tolist() == [1, 0, 1] and value.dtype == np.float32


def test_dicts_are_flattened_with_joined_keys():
    space = spaces.Dict(
        {
            "front": spaces.Box(0, 255, (8, 8, 3), np.uint8),
            "robot": spaces.Dict({"arm": spaces.Box(-1, 1, (3,)), "grip": spaces.Discrete(2)}),
        }
    )
    codecs = observation_codecs(space, None)
    assert {key: codec.space.shape for key, codec in codecs.items()} == {
        "front": (8, 8, 3),
        "robot/arm": (3,),
        "robot/grip": (2,),
    }


@pytest.mark.parametrize(("space", "message"), [
    (spaces.Tuple([spaces.Discrete(2)]), "supported spaces are Box.*got Tuple; use a Dict"),
    (spaces.Text(5), "supported spaces are Box.*got Text"),
    (spaces.Dict({"words": spaces.Text(5)}), "supported spaces are Box.*got Text"),
])  # fmt: skip
def test_other_spaces_are_refused(space, message):
    with pytest.raises(EnvError, match=message):
        observation_codecs(space, None)
    with pytest.raises(EnvError, match=message):
        action_codecs(space)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.uint32])
def test_numbers_that_float32_cannot_tell_apart_are_told_once(dtype, caplog):
    """Such as the seconds since 1970, of which float32 sees every other minute."""
    low, high = (0, 2**32 - 1) if dtype == np.uint32 else (-(2**40), 2**40)
    codec = observation_codecs(spaces.Box(low, high, (2,), dtype), None)["vector"]
    codec.encode(np.array([0, 2**24], dtype))
    assert not caplog.text
    for second in range(3):
        assert codec.encode(np.array([3, 1_700_000_000 + second], dtype))[0] == 3
    [message] = caplog.messages
    assert "'vector': small changes of numbers such as 1700000000" in message
    assert "subtract an origin, or scale them" in message


def test_numbers_that_are_too_large_for_float32_are_said_to_be():
    codec = observation_codecs(spaces.Box(-np.inf, np.inf, (3,), np.float64), None)["vector"]
    for value in (1e300, -1e39):
        said = re.escape(f"'vector': {value!r} is too large for float32")
        with pytest.raises(EnvError, match=said):
            codec.encode(np.array([0, value, 2]))
    assert np.isinf(codec.encode(np.array([0, np.inf, 2]))).any()  # Left for the check.
    assert np.isnan(codec.encode(np.array([0, np.nan, 2]))).any()


def test_arrays_of_objects_that_are_numbers_are_numbers():
    box, row = spaces.Box(-9, 9, (3,)), np.array([1, 2.5, True], object)
    assert encode(box, row)[2].tolist() == [1, 2.5, 1]
    assert encode(spaces.Discrete(3), np.array(2, object))[2].tolist() == [0, 0, 1]
    with pytest.raises(
        EnvError, match=r"an array of dtype object of shape \(3,\), of NoneType, int"
    ):
        encode(box, np.array([1, 2, None], object))
    with pytest.raises(EnvError, match="an array of dtype object.*, of complex"):
        encode(box, np.array([1j] * 3, object))
    with pytest.raises(EnvError, match="expected numbers of shape.*got a list of int"):
        encode(box, [0, 1, 10**400])


@pytest.mark.parametrize(("space", "value", "message"), [
    (spaces.Box(-1, 1, (3,)), np.zeros(4), r"'vector': expected shape \(3,\), got \(4,\)"),
    (spaces.Box(-1, 1, (1,)), np.array(["a"]), "'vector': expected numbers"),
    (spaces.Box(0, 255, (8, 8, 3), np.uint8), np.zeros((3, 8, 8), np.uint8), "'image': expected"),
    (spaces.Discrete(3), 3, r"'vector': expected categories from \[0\].*\[3\]; got 3"),
    (spaces.Discrete(3), 0.5, "'vector': expected 1 integer categories, got float64"),
    (spaces.MultiDiscrete([2, 2]), np.array([0]), "expected 2 integer categories"),
])  # fmt: skip
def test_wrong_observations_are_named(space, value, message):
    with pytest.raises(EnvError, match=message):
        encode(space, value)


def test_image_of_another_dtype_is_left_for_the_check():
    codec = observation_codecs(spaces.Box(0, 255, (16, 16, 3), np.uint8), (64, 64))["image"]
    with pytest.raises(TypeError, match="'image': expected.*uint8.*float64"):
        codec.space.check("image", codec.encode(np.zeros((16, 16, 3))))


bounds = st.floats(-1e3, 1e3, width=32)


@given(bounds, st.floats(2**-6, 1e3, width=32), st.floats(-1, 1, width=32))
def test_normalised_actions_round_trip_and_stay_in_the_box(low, width, action):
    box = spaces.Box(np.float32([low]), np.float32([low + width]))
    decoded = decode(box, np.float32([action]))
    assert box.contains(decoded)
    low, high = box.low.astype(float), box.high.astype(float)
    tolerance = 4 * np.finfo(np.float32).eps * max(abs(low[0]), abs(high[0])) / (high - low)[0]
    assert abs(2 * (decoded - low) / (high - low) - 1 - action) <= tolerance + 1e-6


def test_action_values():
    box = spaces.Box(
        np.array([[0, -2], [1, 5]], np.float32), np.array([[1, 2], [3, 9]], np.float32)
    )
    decoded = decode(box, np.float32([-1, 0, 1, 0.5]))
    np.testing.assert_allclose(decoded, [[0, 0], [3, 8]])
    assert decode(spaces.Box(0, 10, (1,), np.int32), np.float32([0.1])).tolist() == [6]
    index = decode(spaces.Discrete(3, start=5), np.int32(2))
    assert index == 7 and spaces.Discrete(3, start=5).contains(index)
    grid = spaces.MultiDiscrete([[2, 3], [4, 5]])
    assert action_codecs(grid)["action"].space == Space(np.int32, (4,), 0, [1, 2, 3, 4])
    decoded = decode(grid, np.int32([1, 2, 3, 4]))
    assert decoded.tolist() == [[1, 2], [3, 4]] and grid.contains(decoded)
    bits = decode(spaces.MultiBinary(3), np.int32([1, 0, 1]))
    assert bits.tolist() == [1, 0, 1] and spaces.MultiBinary(3).contains(bits)
    assert action_codecs(spaces.Discrete(4))["action"].space == Space(np.int32, (), 0, 3)


@pytest.mark.parametrize(("space", "total"), [
    (spaces.Discrete(2**40), "1,099,511,627,776"),
    (spaces.Discrete(2**32 + 5), "4,294,967,301"),
    (spaces.MultiDiscrete([2**31 - 1] * 3), "6,442,450,941"),
    (spaces.MultiDiscrete([50_001, 50_000]), "100,001"),
])  # fmt: skip
def test_very_many_categories_are_refused_by_their_key(space, total):
    for codecs, key in (
        (lambda s: observation_codecs(s, None), "vector"),
        (action_codecs, "action"),
    ):
        with pytest.raises(
            EnvError, match=f"'{key}': expected at most 100,000 .* got {total}: .*Box"
        ):
            codecs(space)
    pair = spaces.Dict({"hash": space, "x": spaces.Discrete(3)})
    with pytest.raises(EnvError, match="'hash': expected at most .*--env.keys x leaves it out"):
        observation_codecs(pair, None)


def test_many_categories_are_told(caplog):
    assert action_codecs(spaces.Discrete(1000))["action"].space.classes == 1000
    assert not caplog.text
    assert encode(spaces.Discrete(1001), 1000)[2].argmax() == 1000
    assert "'vector': 1001 categories, each of them a number in the networks" in caplog.text


def test_bounds_that_a_dtype_does_not_hold_are_refused():
    for dtype, low, high in [
        (np.int32, 0, 2**33), (np.int32, 0, [2**32 + 4]), (np.uint8, -1, 255), (np.uint8, 0, 256),
        (np.int32, 0, np.inf), (np.int32, 0, 1.5), (bool, 0, 2),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="(low|high): expected a bound that .* holds, got"):
            Space(dtype, (1,), low, high)
    assert Space(np.float32, (), 0, 1e300).high == np.inf
    with pytest.raises(EnvError, match="'action': low: .* holds, got 10995.*start at 0"):
        action_codecs(spaces.Discrete(3, start=2**40))


def test_a_mask_of_actions_is_said_to_be_no_more_than_observed(caplog):
    space = spaces.Dict(board=spaces.Discrete(3), action_mask=spaces.MultiBinary(2))
    observation_codecs(space, None)
    [message] = caplog.messages
    assert message.startswith("'action_mask': a mask of actions is observed, and no more")


def test_exchanged_bounds_of_an_action_are_refused():
    with np.errstate(all="ignore"):
        box = spaces.Box(-1, 1, (2,))
    box.low, box.high = np.float32([1, -1]), np.float32([-1, 1])  # gym does not look.
    with pytest.raises(
        EnvError, match=r"'action': .*low to high, got \[1.0, -1.0\] to \[-1.0, 1.0\]"
    ):
        action_codecs(box)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_an_action_without_axes_is_an_array(dtype):
    box = spaces.Box(-3, 5, (), dtype)
    decoded = decode(box, np.float32([1]))
    assert isinstance(decoded, np.ndarray) and box.contains(decoded) and decoded == 5


def test_actions_without_bounds_are_refused():
    with pytest.raises(EnvError, match="'action'.*finite bounds"):
        action_codecs(spaces.Box(-np.inf, 1, (2,)))


@pytest.mark.parametrize("bound", [1e10, np.finfo(np.float32).max, 1.1e9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bounds_that_stand_for_none_are_refused(bound, dtype):
    for low, high in ((-bound, bound), (0, bound), (-bound, 0)):
        with pytest.raises(EnvError, match="'action'.*finite bounds.*counts as no bound"):
            action_codecs(spaces.Box(dtype(low), dtype(high), (2,), dtype))
    action_codecs(spaces.Box(-1e9, 1e9, (2,), dtype))
    with pytest.raises(EnvError, match="finite bounds"):
        action_codecs(spaces.Box(-np.inf, np.inf, (2,), np.int64))  # Those of the dtype.


def test_an_action_of_truth_values_is_rounded():
    box = spaces.Box(0, 1, (2,), bool)
    codec = action_codecs(box)["action"]
    for number, truth in ((-1, False), (-0.2, False), (0.2, True), (1, True)):
        decoded = codec.decode(np.full(2, number, np.float32))
        assert decoded.tolist() == [truth] * 2 and box.contains(decoded)
    assert codec.native_space == Space(np.int32, (2,), 0, 1)
    assert codec.encode(np.array([True, False])).tolist() == [1, -1]


def test_subclasses_of_spaces_are_what_they_derive_from():
    class Angles(gymnasium.spaces.Box):
        pass

    assert encode(Angles(-1, 1, (2,)), np.zeros(2))[0] == "vector"


def test_native_spaces_have_the_bounds_that_actions_reach():
    codecs = action_codecs(
        gymnasium.spaces.Dict(
            {
                "turn": gymnasium.spaces.Box(np.array([[-2, 0, 1]]), np.array([[2, 10, 4]])),
                "notch": gymnasium.spaces.Box(-3, 7, (2,), np.int64),
                "gear": gymnasium.spaces.Discrete(4, start=-1),
                "keys": gymnasium.spaces.MultiDiscrete([2, 5]),
            }
        )
    )
    for key, codec in codecs.items():
        native = codec.native_space
        for bound in ("low", "high"):
            decoded = codec.decode(getattr(codec.space, bound))
            np.testing.assert_array_equal(decoded, getattr(native, bound), err_msg=key)
            assert native.shape == np.shape(decoded)
    assert codecs["turn"].native_space.dtype == np.float32
    assert codecs["notch"].native_space.dtype == np.int32


def test_arrays_are_converted_where_nothing_is_lost():
    image = Space(np.uint8, (2, 2, 1))
    assert image.convert("image", [[0, 255]]).dtype == np.uint8
    assert Space(bool).convert("flag", 1).dtype == bool
    assert Space(np.float32).convert("x", np.float64(0.5)) == 0.5
    for wrong, said in (
        (np.full(3, 0.5), "float64 from 0.5 to 0.5"),
        (np.array([-1, 3]), "-1 to 3"),
    ):
        with pytest.raises(ValueError, match=f"'image': expected uint8, got .*{said}"):
            image.convert("image", wrong)
