"""Environments as people bring them: what is taken, what is refused, and how it is said."""

import functools
import threading

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from dreamer_tf import envs
from dreamer_tf.envs import EnvError, VectorEnv, check_env
from dreamer_tf.envs.errors import WorkerFault
from tests.counting import CountingEnv, FailingEnv
from tests.envs import peculiar


def play(make, steps=12, workers="inline", **options):
    """Plays as training does; returns the rows of one environment."""
    constructor = functools.partial(envs.from_user, make, **options)
    rng = np.random.default_rng(0)
    rows, reset = [], np.ones(1, bool)
    with VectorEnv([constructor], seed=1, workers=workers) as env:
        for _ in range(steps):
            actions = {key: space.sample(rng)[None] for key, space in env.act_space.items()}
            rows.append(env.step(actions, reset))
            reset = rows[-1]["is_last"]
    return [{key: value[0] for key, value in row.items()} for row in rows]


def space_of(space, **options):
    """The one observation that an agent sees of a space."""
    env = envs.from_user(peculiar.Returning(space, None), **options)
    ((key, ours),) = env.obs_space.items()
    return key, ours.shape


# ------------------------------------------------------------------- structure


@pytest.mark.parametrize(
    "entries",
    [
        {"arm/joints": 3, "arm/gyro": 2},
        {"arm": {"joints": 3, "gyro": 2}},
        {"arm": {"joints": 3}, "arm/gyro": 2},
        {"left arm": 3, "arm (m)": 2, "état": 1, "a:b": 4, "50%": 5},
        {0: 3, 1: 2},
    ],
)
def test_the_users_own_structure_is_kept_for_observations_and_actions(entries):
    def space(entry):
        if isinstance(entry, dict):
            return spaces.Dict({key: space(inside) for key, inside in entry.items()})
        return spaces.Box(-1, 1, (entry,))

    def keys(entry, prefix=""):
        for key, inside in entry.items():
            if isinstance(inside, dict):
                yield from keys(inside, f"{prefix}{key}/")
            else:
                yield f"{prefix}{key}", inside

    whole = space(entries)
    theirs = peculiar.Returning(whole, whole.sample(), action_space=whole)
    env = envs.from_user(theirs)
    assert {key: s.shape[0] for key, s in env.obs_space.items()} == dict(keys(entries))
    assert list(env.act_space) == [f"action/{key}" for key in env.obs_space]
    env.reset(0)
    env.step({key: space.sample(np.random.default_rng(0)) for key, space in env.act_space.items()})
    assert whole.contains(theirs.actions[0])


def test_keys_that_become_one_are_refused():
    box = spaces.Box(-1, 1, (1,))
    space = spaces.Dict({"a": spaces.Dict({"b": box}), "a/b": box})
    with pytest.raises(EnvError, match="'a/b': both .* are called so; rename"):
        envs.from_user(peculiar.Returning(space, None))


@pytest.mark.parametrize(("space", "returned", "message"), [
    (spaces.Box(-1, 1, (2,)), {"x": 1}, r"'vector': expected numbers of shape \(2,\).*a dict.*'x'"),
    (spaces.Box(-1, 1, (2,)), [[1, 2], [3]], "'vector': expected numbers.*a ragged list"),
    (spaces.Box(-1, 1, (2,)), None, "'vector': expected numbers.*got None"),
    (spaces.Box(-1, 1, (2,)), "left", r"'vector': expected shape \(2,\), got \(\)"),
    (spaces.Discrete(3), {"x": 1}, "'vector': expected a number or an array.*got a dict"),
    (spaces.Box(0, 255, (20, 20), np.uint8), {"x": 1}, "'image': expected numbers.*got a dict"),
    (spaces.Dict({"x": spaces.Box(-1, 1, (2,))}), np.zeros(2, np.float32),
     r"'x': expected a dict with the key 'x'.*got an array of float32 of shape \(2,\)"),
    (spaces.Dict({"x": spaces.Box(-1, 1, (2,))}), [0.0, 1.0], "'x': expected a dict.*got a list"),
    (spaces.Dict({"a": spaces.Dict({"b": spaces.Discrete(2)})}), {"a": 1},
     "'a/b': expected a dict with the key 'b' at 'a'.*got 1"),
])  # fmt: skip
def test_another_structure_than_the_declared_one_is_named(space, returned, message):
    with pytest.raises(EnvError, match=message):
        envs.from_user(peculiar.Wrong(space, returned)).reset(0)


# ---------------------------------------------------------------------- images


@pytest.mark.parametrize(("shape", "seen", "notice"), [
    ((64, 64, 4), (64, 64, 4), "64x64 with 4 channels"),
    ((4, 84, 84), (84, 84, 4), "84x84 with 4 channels, which come first"),
    ((12, 40, 80), (40, 80, 12), "40x80 with 12 channels, which come first"),
    ((64, 48, 12), (64, 48, 12), "64x48 with 12 channels"),
    ((4, 84, 84, 3), (84, 84, 12), "84x84 with 12 channels: 4 frames of 3 channels"),
    ((4, 3, 84, 96), (84, 96, 12), "12 channels: 4 frames of 3 channels, which come first"),
    ((3, 64, 64), (64, 64, 3), "64x64 with 3 channels, which come first"),
    ((17, 19, 19), (19, 19, 17), "19x19 with 17 channels, which come first"),
    ((48, 64, 64), (64, 64, 48), "64x64 with 48 channels, which come first"),
    ((64, 64, 64), (64, 64, 64), "64x64 with 64 channels"),
    ((84, 84, 3, 4), (84, 84, 12), "84x84 with 12 channels: 4 frames of 3 channels, stacked last"),
    ((84, 90, 4, 1), (84, 90, 4), "84x90 with 4 channels: 4 frames of 1 channels, stacked last"),
    ((50, 24, 20, 3), (24, 20, 150), "24x20 with 150 channels: 50 frames of 3 channels"),
    ((64, 64, 3), (64, 64, 3), ""),
    ((20, 16, 3), (20, 16, 3), ""),
])  # fmt: skip
def test_channels_may_be_many_and_come_first(shape, seen, notice, caplog):
    assert space_of(spaces.Box(0, 255, shape, np.uint8), image_size=seen[:2]) == ("image", seen)
    assert notice in caplog.text and bool(notice) == bool(caplog.messages)
    value = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    theirs = peculiar.Returning(spaces.Box(0, 255, shape, np.uint8), value)
    image = envs.from_user(theirs, image_size=seen[:2]).reset(0)["image"]
    frames = value if len(shape) == 4 else value[None]
    if "first" in notice:
        frames = np.moveaxis(frames, 1, -1)
    if "stacked last" in notice:
        frames = np.moveaxis(value, -1 if shape[2] == 3 else -2, 0)
    np.testing.assert_array_equal(image, np.concatenate(list(frames), -1))


def test_a_stack_of_frames_as_gymnasium_makes_it_is_an_image():
    class Grey(peculiar.Plain):
        observation_space = spaces.Box(0, 255, (84, 84), np.uint8)

        def look(self):
            return np.full((84, 84), self.t, np.uint8)

    row = play(lambda: gymnasium.wrappers.FrameStackObservation(Grey(), 4), image_size=(84, 84))[3]
    assert row["image"].shape == (84, 84, 4)
    assert row["image"][0, 0].tolist() == [0, 1, 2, 3]


def test_a_few_bytes_are_no_picture_and_keep_their_size(caplog):
    ids = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    assert space_of(ids) == ("vector", (147,))
    assert "numbers of shape 7x7x3 are used as a vector of 147" in caplog.text
    row = envs.from_user(peculiar.Returning(ids, np.full((7, 7, 3), 9, np.uint8))).reset(0)
    assert row["vector"].tolist() == [9.0] * 147


class Dark(peculiar.Plain):
    """A grid of codes, or a picture as dark but for a pixel of the last frame that is looked at."""

    length = 1000

    def __init__(self, low, high, brightest=0):
        self.observation_space = spaces.Box(low, high, (19, 20, 3), np.uint8)
        self._brightest = brightest

    def look(self):
        image = np.zeros((19, 20, 3), np.uint8)
        image[::2] = 10
        if self.t == 99:
            image[0, 0, 0] = self._brightest
        return image


@pytest.mark.parametrize(("size", "said"), [
    ((64, 64), "blended by resizing and divided by 255"), (None, "they are divided by 255"),
])  # fmt: skip
def test_grids_of_codes_are_told_from_pictures(size, said, caplog):
    rows = play(lambda: Dark(0, 255), 100, image_size=size)
    message = caplog.messages[-1]
    assert message.startswith("'image': bytes seen 0 to 10: codes rather than") and said in message
    assert "(int16)" in message and rows[0]["image"].max() == 10
    caplog.clear()
    assert "codes rather" in check_env(lambda: Dark(0, 255), image_size=size)
    for other, steps in ((Dark(0, 255, 33), 150), (Dark(0, 20), 150), (Dark(0, 255), 99)):
        play(other, steps, image_size=size)
    assert "codes rather" not in caplog.text


# ------------------------------------------------------------ nothing to learn


def test_what_is_empty_is_left_out_with_a_notice(caplog):
    space = spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "none": spaces.Box(-1, 1, (0,))})
    theirs = peculiar.Returning(space, space.sample(), action_space=space)
    env = envs.from_user(theirs)
    assert list(env.obs_space) == ["x"]
    assert list(env.act_space) == list(env.native_act_space) == ["action/x"]
    assert "'none': it is empty" in caplog.text and "'none': the action is empty" in caplog.text
    env.reset(0)
    env.step({"action/x": np.zeros(2, np.float32)})
    assert space.contains(theirs.actions[0])
    with pytest.raises(EnvError, match="the observation space is empty"):
        envs.from_user(peculiar.Returning(spaces.Dict({"none": space["none"]}), None))
    with pytest.raises(EnvError, match="the action space is empty"):
        envs.from_user(peculiar.Returning(space, None, action_space=space["none"]))


def test_what_cannot_be_learned_from_is_named_and_left_out_by_option(caplog):
    space = spaces.Dict({"x": spaces.Discrete(3), "to do": spaces.Text(9), "y": spaces.Discrete(2)})
    make = functools.partial(peculiar.Returning, space, {"x": 0, "to do": "go", "y": 1})
    with pytest.raises(EnvError, match=r"'to do': .*got Text; --env.keys 'x\|y' leaves it out"):
        envs.from_user(make)
    assert list(envs.from_user(make, keys="x|y").obs_space) == ["x", "y"]
    assert "'to do': left out, because env.keys is 'x|y'" in caplog.text
    with pytest.raises(EnvError, match="'z' matches none of the observations 'to do', 'x', 'y'"):
        envs.from_user(make, keys="z")
    with pytest.raises(EnvError, match=r"expected a regular expression.*got '\('"):
        envs.from_user(make, keys="(")


def test_observations_of_an_env_of_ones_own_are_left_out_as_well(caplog):
    env = envs.from_user(CountingEnv, keys="count|echo")
    assert list(env.obs_space) == ["count", "echo"]
    assert "'seed': left out" in caplog.text
    row = env.reset(0)
    assert "seed" not in row and row["is_first"]
    assert env.step({"action": np.zeros(2, np.float32)})["count"] == 1


# --------------------------------------------------------------- what it tells


def test_info_may_be_none():
    rows = play(peculiar.WithoutInfo)
    assert [bool(row["is_terminal"]) for row in rows] == [False] * 5 + [True] + [False] * 5 + [True]
    assert rows[5]["reward"] == 5

    class Old(peculiar.Plain):
        def step(self, action):
            return (*super().step(action)[:3], None)

    assert play(Old, 6)[5]["is_terminal"]

    class Odd(peculiar.Plain):
        def info(self):
            return [1]

    with pytest.raises(EnvError, match="'info': expected a dict.*got a list"):
        play(Odd)


@pytest.mark.parametrize("told", [np.nan, np.inf, None, "won", [1, 2], [[1], [2, 3]], 1e300])
def test_what_is_only_logged_and_no_number_is_left_out(told, caplog):
    class Told(peculiar.Plain):
        def info(self):
            return {"log_won": told, "log_steps": self.t}

    rows = play(Told, 12)
    assert rows[5]["log_steps"] == 5 and "log_won" not in rows[5]
    assert len([text for text in caplog.messages if "'log_won': not logged" in text]) == 1


@pytest.mark.parametrize("workers", ["inline", "process"])
@pytest.mark.parametrize("at", [3, 150])
def test_values_that_leave_their_box_are_told_once_and_kept(at, workers, caplog):
    class Leaves(peculiar.Plain):
        observation_space = spaces.Box(-1.5, 1.5, (2,), np.float32)
        length = 160

        def look(self):
            return np.array([0, 1.6 if self.t >= at else 0], np.float32)

    rows = play(Leaves, 170, workers)
    assert rows[at]["vector"][1] == np.float32(1.6) and rows[160]["is_terminal"]
    [message] = caplog.messages
    assert "'vector': values from 0 to 1.6 leave" in message


def test_notices_are_told_once_for_all_environments(caplog):
    space = spaces.Box(0, 255, (64, 64, 4), np.uint8)
    make = functools.partial(envs.from_user, lambda: peculiar.Returning(space, None))
    told = set()
    for _ in range(2):
        with VectorEnv([make] * 3, seed=0, workers="process", told=told):
            pass
    assert len(caplog.messages) == 1


# ---------------------------------------------------------------------- seeds


def test_seeds_fit_a_signed_number_of_32_bits(caplog):
    makers = [functools.partial(envs.from_user, peculiar.SmallSeeds)] * 8
    with VectorEnv(makers, seed=0, workers="inline") as env:
        for _ in range(8):
            env.step({"action": np.zeros(8, np.int32)}, np.ones(8, bool))
    assert "died" not in caplog.text


def test_an_environment_that_cannot_be_seeded_is_told(caplog):
    assert play(peculiar.Unseedable)[5]["is_terminal"]
    [message] = caplog.messages
    assert message.startswith("Unseedable: reset() takes no seed")
    assert "begin differently ('vector')" in check_env(peculiar.Moody)
    assert "begin differently" not in check_env(peculiar.Plain)


class KeywordWrapper:
    """A wrapper that hands on whatever it gets, and is none of gymnasium's."""

    def __init__(self, env):
        self.env, self.asked = env, 0
        self.observation_space, self.action_space = env.observation_space, env.action_space

    def reset(self, **given):
        self.asked += 1
        return self.env.reset(**given)

    def step(self, action):
        return self.env.step(action)


@pytest.mark.parametrize("kind", [peculiar.Unready, peculiar.SeedTakesNothing, peculiar.Unseeded])
def test_a_seed_that_cannot_be_set_is_told_and_left_out(kind, caplog):
    assert play(kind, 8)[5]["is_terminal"]
    [message] = caplog.messages
    assert "takes no seed" in message and "cannot be repeated" in message


@pytest.mark.parametrize("kind", [peculiar.Unseedable, peculiar.SeedByMethod])
def test_a_wrapper_around_what_takes_no_seed_is_told_or_seeded_otherwise(kind, caplog):
    wrapped = KeywordWrapper(kind())
    env = envs.from_user(wrapped)
    env.reset(3)
    env.reset(4)
    assert wrapped.asked == 3, "only the first reset finds out"
    seeds = getattr(wrapped.env, "seeds", None)
    assert seeds == [3, 4] if seeds is not None else "takes no seed" in caplog.text
    assert bool(caplog.messages) == (seeds is None)


@pytest.mark.parametrize("at", [1, 2])
def test_other_errors_than_of_the_seed_are_the_environments_own(at, caplog):
    class Fails(peculiar.Plain):
        resets = 0

        def reset(self, seed=None, options=None):
            self.resets += 1
            if self.resets == at:
                len(3, key=self)
            return super().reset()

    env = envs.from_user(Fails())
    with pytest.raises(TypeError, match="takes no keyword arguments"):
        for seed in range(at):
            env.reset(seed)
    assert env._env._env.resets == at and not caplog.messages


# --------------------------------------------------------------------- errors


@pytest.mark.parametrize("workers", ["inline", "process"])
def test_an_environment_may_make_errors_of_rounding(workers):
    with np.errstate():  # Inline it would change what holds here.
        rows = play(peculiar.Strict, 3, workers)
    assert rows[1]["vector"][0] == 0 and rows[2]["reward"] == 0


@pytest.mark.parametrize("workers", ["inline", "process"])
def test_errors_without_a_text_have_their_traceback(workers, caplog):
    with pytest.raises(EnvError, match=r"(?s)step\(\) is not implemented.*peculiar.py.*in step"):
        play(peculiar.Unwritten, workers=workers)
    play(peculiar.Speechless, 2, workers)
    assert "in step" in caplog.text and "AssertionError" in caplog.text


@pytest.mark.parametrize("workers", ["inline", "process"])
def test_an_error_of_ours_is_no_death_of_the_environment(workers):
    def constructor():
        env = envs.from_user(peculiar.Plain)
        env._env._observations["vector"].encode = functools.partial(np.reshape, shape=(3, 3))
        return env

    with VectorEnv([constructor], seed=0, workers=workers) as env:  # noqa: SIM117
        with pytest.raises(WorkerFault, match="(?s)dreamer_tf failed at a reset.*reshape"):
            env.step({"action": np.zeros(1, np.int32)}, [True])


def test_the_last_observation_is_kept_where_arrays_are_reused(caplog):
    class Dies(peculiar.Restless):
        def step(self, action):
            result = super().step(action)
            if self.t == 3:
                raise RuntimeError("gone")
            return result

    rows = play(Dies, 4)
    assert rows[3]["is_last"] and rows[3]["vector"][0] == np.float32(0.2)


def test_which_environment_died_is_known():
    makers = [CountingEnv, functools.partial(FailingEnv, "raise", at=2)]
    with VectorEnv(makers, seed=0, workers="inline") as env:
        actions = {"action": np.zeros((2, 2), np.float32)}
        seen = []
        for reset in ([True, True], [False, False], [False, False], [False, True]):
            env.step(actions, reset)
            seen.append(env.died.tolist())
    assert seen == [[False, False], [False, False], [False, True], [False, False]]


def test_what_cannot_travel_to_a_worker_says_so():
    class Locked(peculiar.Plain):
        def __init__(self):
            self.lock = threading.Lock()

    with pytest.raises(EnvError, match="cannot be sent to its worker.*pass a function that makes"):
        VectorEnv([functools.partial(envs.from_user, Locked())], seed=0)
    assert play(Locked, 6, "process")[5]["is_terminal"]


SCRIPT = """
import gymnasium, numpy as np
from gymnasium import spaces

def make():
    class Inside(gymnasium.Env):
        observation_space = spaces.Box(-1, 1, (2,))
        action_space = spaces.Discrete(2)
    return Inside()
"""


def test_a_class_inside_a_function_of_a_script_says_what_to_do():
    script = {"__name__": "__main__"}
    exec(SCRIPT, script)
    make = script["make"]
    make.__module__ = "__main__"
    with pytest.raises(EnvError, match="(?s)NameError.*'spaces'.*class outside of the function"):
        check_env(make)
