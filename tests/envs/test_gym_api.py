"""Environments that follow the API of gymnasium or gym."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from dreamer_tf import envs
from tests.counting import CountingEnv


class Walk(gymnasium.Env):
    """Walks along a line; the observation nests, the action is a Dict with a nested part."""

    observation_space = spaces.Dict(
        {
            "where": spaces.Dict({"position": spaces.Box(-np.inf, np.inf, (1,), np.float64)}),
            "picture": spaces.Box(0, 255, (8, 8), np.uint8),
        }
    )
    action_space = spaces.Dict(
        {"legs": spaces.Dict({"speed": spaces.Box(0, 4, (1,))}), "turn": spaces.Discrete(2)}
    )

    def __init__(self, ends="terminated"):
        self._ends = ends

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._position = self.np_random.uniform()
        self._steps = 0
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        speed = float(action["legs"]["speed"][0])
        self._position += -speed if action["turn"] else speed
        self._steps += 1
        ended = self._steps == 4
        return (
            *(self._observe(), speed),
            *(ended and self._ends == "terminated", ended and self._ends == "truncated", {}),
        )

    def _observe(self):
        picture = np.full((8, 8), self._steps, np.uint8)
        return {"where": {"position": np.array([self._position])}, "picture": picture}


class OldWalk:
    """The API of old gym: ``seed``, reset without info, four values from step."""

    observation_space = spaces.Box(-100, 100, (1,))
    action_space = spaces.Discrete(2)

    def __init__(self, info=None):
        self._info = info or {}

    def seed(self, seed):
        self._rng = np.random.RandomState(seed)

    def reset(self):
        self._steps = 0
        return self._rng.uniform(size=1)

    def step(self, action):
        self._steps += 1
        return self._rng.uniform(size=1), 1, self._steps == 3, self._info

    def close(self):
        pass


def go(speed, turn=0):
    return {"legs/speed": np.float32([speed]), "turn": np.int32(turn)}


def test_nested_observations_and_actions():
    env = envs.from_user(Walk, image_size=None)
    assert {key: space.shape for key, space in env.act_space.items()} == {
        "legs/speed": (1,),
        "turn": (),
    }
    first = env.reset(3)
    row = env.step(go(0.5))
    assert row["reward"] == 3  # 0.5 of -1 to 1 is 3 of 0 to 4
    assert row["where/position"] - first["where/position"] == pytest.approx(3)
    assert row["picture"].shape == (8, 8, 1) and (row["picture"] == 1).all()
    back = env.step(go(0.5, turn=1))
    assert back["where/position"] == pytest.approx(first["where/position"])


def test_terminated_and_truncated_are_told_apart():
    for ends, terminal in [("terminated", True), ("truncated", False)]:
        env = envs.from_user(Walk(ends))
        env.reset(0)
        rows = [env.step(go(0)) for _ in range(4)]
        assert [bool(row["is_last"]) for row in rows] == [False] * 3 + [True]
        assert [bool(row["is_terminal"]) for row in rows] == [False] * 3 + [terminal]


@pytest.mark.parametrize("key", ["final_obs", "final_observation", "terminal_observation"])
def test_one_that_resets_itself_ends_with_what_it_ended_with(key):
    class Resetting(Walk):
        def step(self, action):
            observation, *rest, info = super().step(action)
            if any(rest[1:]):
                observation, info = self.reset()[0], {key: observation}
            return observation, *rest, info

    env, expected = envs.from_user(Resetting), envs.from_user(Walk)
    actions = {"legs/speed": np.float32([0.5]), "turn": np.int32(0)}
    for made in (env, expected):
        made.reset(3)
    rows = [[made.step(actions) for _ in range(4)] for made in (env, expected)]
    for row, other in zip(*rows, strict=True):
        for name in other:
            np.testing.assert_array_equal(row[name], other[name])
    assert rows[0][-1]["is_last"] and rows[0][-1]["picture"].max() == 4


def test_action_repeat_and_time_limit():
    env = envs.from_user(Walk("terminated"), action_repeat=2)
    env.reset(0)
    assert env.step(go(-0.5))["reward"] == 2 and env.frames_per_step == 2
    env = envs.from_user(Walk("terminated"), action_repeat=3)
    env.reset(0)
    env.step(go(-0.5))
    row = env.step(go(-0.5))
    assert row["reward"] == 1 and row["is_terminal"], "the repeat stops at the end"
    env = envs.from_user(Walk("terminated"), time_limit=2)
    env.reset(0)
    env.step(go(0))
    row = env.step(go(0))
    assert row["is_last"] and not row["is_terminal"]
    env = envs.from_user(Walk("terminated"), time_limit=4)
    env.reset(0)
    row = [env.step(go(0)) for _ in range(4)][-1]
    assert row["is_last"] and row["is_terminal"], "an end that coincides with the limit is real"


def test_the_seed_decides_the_episode():
    env = envs.from_user(Walk())
    starts = [float(env.reset(seed)["where/position"][0]) for seed in (5, 6, 5)]
    assert starts[0] == starts[2] != starts[1]


@pytest.mark.parametrize(("info", "terminal"), [({}, True), ({"TimeLimit.truncated": True}, False)])
def test_old_gym_api(info, terminal):
    env = envs.from_user(OldWalk(info))
    starts = [float(env.reset(seed)["vector"][0]) for seed in (5, 6, 5)]
    assert starts[0] == starts[2] != starts[1]
    row = [env.step({"action": np.int32(1)}) for _ in range(3)][-1]
    assert row["is_last"] and row["is_terminal"] == terminal


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("package", ["gymnasium", "gym"])
def test_environments_by_id(package):
    env = envs.make(f"{package}_CartPole-v1", time_limit=5)
    assert env.act_space["action"].classes == 2
    first, again = env.reset(1), env.reset(1)
    np.testing.assert_array_equal(first["vector"], again["vector"])
    rows = [env.step({"action": np.int32(step % 2)}) for step in range(5)]
    assert [float(row["reward"]) for row in rows] == [1] * 5
    assert rows[-1]["is_last"] and not rows[-1]["is_terminal"]
    env.close()


def test_info_of_the_last_step_goes_into_the_log(caplog):
    env = envs.from_user(OldWalk({"log_goals": np.int64(2), "log_won": True, "other": "text"}))
    env.reset(0)
    rows = [env.step({"action": np.int32(0)}) for _ in range(3)]
    told = [{k: float(v) for k, v in row.items() if k.startswith("log_")} for row in rows]
    assert told == [{}, {}, {"log_goals": 2.0, "log_won": 1.0}]
    env = envs.from_user(OldWalk({"log_goals": [1, 2]}), time_limit=1)
    env.reset(0)
    assert "log_goals" not in env.step({"action": np.int32(0)})
    assert "'log_goals': not logged: 'log_goals': expected a number, got int64" in caplog.text


def test_a_registered_time_limit_truncates():
    env = envs.make("gymnasium_Pendulum-v1", action_repeat=2)
    env.reset(0)
    rows = [env.step({"action": np.zeros(1, np.float32)}) for _ in range(100)]
    assert rows[-1]["is_last"] and not rows[-1]["is_terminal"] and not rows[-2]["is_last"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unknown_ids_name_the_nearest():
    with pytest.raises(envs.EnvError, match="nearest names are gymnasium_CartPole-v1"):
        envs.make("gymnasium_CartPol-v1")
    with pytest.raises(envs.EnvError, match="nearest names are gym_CartPole-v1"):
        envs.make("gym_CartPole-v9")
    with pytest.raises(envs.EnvError, match="needs a package that is missing.*no_such_module"):
        envs.make("gymnasium_no_such_module:Thing-v0")


def test_what_users_bring():
    assert envs.from_user(CountingEnv).obs_space == CountingEnv().obs_space
    assert envs.from_user(CountingEnv(length=3)).reset(0)["is_first"]
    assert "turn" in envs.from_user(lambda: Walk()).act_space
    with pytest.raises(envs.EnvError, match="needs reset.*got int"):
        envs.from_user(3)
    with pytest.raises(envs.EnvError, match="constructor must return.*got str"):
        envs.from_user(lambda: "environment")


def test_what_has_no_space_of_one_agent_is_explained():
    class Parallel(OldWalk):
        def observation_space(self, agent):
            return spaces.Box(-1, 1, (1,))

    with pytest.raises(envs.EnvError, match="observation_space is a method.*PettingZoo.*wrap one"):
        envs.from_user(Parallel)

    class Late(OldWalk):
        observation_space = action_space = None

    with pytest.raises(envs.EnvError, match="space is None.*before the first reset") as raised:
        envs.from_user(Late())
    assert len(raised.value.problems) == 2

    class Several(OldWalk):
        num_envs = 3

    with pytest.raises(envs.EnvError, match="Several steps 3 environments.*env.count to 3"):
        envs.from_user(Several)

    class OneAtATime(OldWalk):
        num_envs = 1

    assert envs.from_user(OneAtATime).reset(0)["is_first"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_gyms_own_checker_is_taken_out_of_the_wrappers():
    """It asks NumPy for a type that NumPy 2 has no more, at every step."""
    gym = pytest.importorskip("gym")

    class Outside:
        def __init__(self, env):
            self._env = env
            self.observation_space, self.action_space = env.observation_space, env.action_space
            self.reset, self.step = self._reset, self._step

        def _reset(self, seed=None):
            return self._env.reset(seed=seed)

        def _step(self, action):
            return self._env.step(action)

    bare = gym.make("CartPole-v1").unwrapped
    checker = type(gym.make("CartPole-v1").env.env)
    for make in (
        lambda: gym.make("CartPole-v1"),
        lambda: Outside(gym.make("CartPole-v1")),
        lambda: checker(checker(bare)),
    ):
        env = envs.from_user(make)
        env.reset(0)
        assert env.step({"action": np.int32(0)})["reward"] == 1


def test_a_reward_may_be_an_array_of_one_object():
    class Table(OldWalk):
        def step(self, action):
            return np.zeros(1), np.array(1.5, object), np.array(False, object), {}

    env = envs.from_user(Table())
    env.reset(0)
    row = env.step({"action": np.int32(0)})
    assert row["reward"] == 1.5 and not row["is_last"]


@pytest.mark.parametrize(("values", "message"), [
    ((np.zeros(1), 1e300, False, False, {}), "'reward': 1e\\+300 is too large for float32"),
    ((np.zeros(1), 1), "5 values.*got 2"),
    ((np.zeros(1), None, False, False, {}), "'reward': expected a number, got object"),
    ((np.zeros(1), [1, 2], False, False, {}), r"'reward'.*shape \(2,\)"),
    ((np.zeros(1), np.nan, False, False, {}), "'reward'.*NaN"),
    ((np.zeros(1), 1, np.nan, False, {}), "'terminated': expected true or false.*got nan"),
    ((np.zeros(1), 1, False, 0.3, {}), "'truncated': expected true or false.*got 0.3"),
    ((np.zeros(1), 1, 2, {}), "'done': expected true or false.*got 2"),
    ((np.zeros(2), 1, False, False, {}), r"'vector': expected shape \(1,\), got \(2,\)"),
    ((np.full(1, np.inf), 1, False, False, {}), "'vector'.*infinite"),
])  # fmt: skip
def test_wrong_steps_are_named(values, message):
    class Wrong(OldWalk):
        def step(self, action):
            return values

    env = envs.from_user(Wrong())
    env.reset(0)
    with pytest.raises(envs.EnvError, match=message):
        env.step({"action": np.int32(0)})


@pytest.mark.parametrize(("wrong", "message"), [
    ({1: None}, "'reward': expected a number"),
    ({2: np.array([True, True])}, "'terminated': expected a number"),
    ({4: [1]}, "'info': expected a dict"),
])  # fmt: skip
def test_wrong_values_of_a_frame_that_is_not_observed_are_named(wrong, message):
    class Wrong(Walk):
        def step(self, action):
            values = dict(enumerate(super().step(action)))
            return tuple((values | (wrong if self._steps == 1 else {})).values())

    env = envs.from_user(Wrong(), action_repeat=2)
    env.reset(0)
    with pytest.raises(envs.EnvError, match=message) as raised:
        env.step(go(0))
    assert len(raised.value.problems) == 1
    assert env.step(go(0))["reward"] == 4, "told once"


class OfTensors(OldWalk):
    """What NumPy makes no array of, in one of the places of a step."""

    class Tensor:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def __init__(self, place):
        super().__init__()
        self._place = place

    def step(self, action):
        values = [np.zeros(1), 1.0, False, False, {}]
        values[self._place] = self.Tensor()
        return tuple(values)


@pytest.mark.parametrize(("place", "key"), [(0, "vector"), (1, "reward"), (2, "terminated")])
def test_what_is_no_array_is_no_death(place, key):
    said = f"'{key}': expected an array, got an object of the class Tensor.*RuntimeError: Can't"
    with envs.VectorEnv(
        [lambda: envs.from_user(OfTensors(place))], seed=0, workers="inline"
    ) as env:
        env.step({"action": np.zeros(1, np.int32)}, [True])
        with pytest.raises(envs.EnvError, match=said):
            env.step({"action": np.zeros(1, np.int32)}, [False])


def test_a_list_of_what_is_no_array_is_described():
    class Lists(OldWalk):
        observation_space = spaces.Dict(x=OldWalk.observation_space)

        def reset(self):
            return [OfTensors.Tensor()]

    with pytest.raises(envs.EnvError, match="'x': expected a dict.*got a list of Tensor"):
        envs.from_user(Lists()).reset(0)


def test_a_missing_part_of_a_dict_is_named():
    class Partial(Walk):
        def _observe(self):
            return {"where": {}, "picture": np.zeros((8, 8), np.uint8)}

    with pytest.raises(envs.EnvError, match="'where/position'"):
        envs.from_user(Partial()).reset(0)


@pytest.mark.parametrize(("info", "is_told"), [({}, True), ({"TimeLimit.truncated": False}, False)])
def test_an_end_of_old_gym_that_may_be_a_limit_is_told_once(info, is_told, caplog):
    env = envs.from_user(OldWalk(info))
    for seed in range(2):
        env.reset(seed)
        for step in range(3):
            assert not caplog.messages or seed or not step
            env.step({"action": np.int32(0)})
    assert len(caplog.messages) == is_told
    assert ("OldWalk: done, of the four values of step()" in caplog.text) == is_told


@pytest.mark.parametrize(("picture", "message"), [
    (np.full((4, 4, 3), 0.9), "bytes from 0 to 255, got float64 from 0.9 to 0.9; multiply"),
    (np.full((4, 4, 3), 300), "bytes from 0 to 255, got int64 from 300 to 300"),
    (np.ones((4, 4, 3), bool), "bytes from 0 to 255, got bool"),
    (np.zeros((3, 4, 5), np.uint8), r"a picture \[height, width, 3\]"),
    (np.full((4, 4, 3), 200), None),
    (np.full((4, 4, 3), 200, np.uint8), None),
])  # fmt: skip
def test_pictures_are_bytes(picture, message):
    class Drawing(Walk):
        render_mode = "rgb_array"

        def render(self):
            return picture

    env = envs.from_user(Drawing())
    if message is None:
        assert env.render().dtype == np.uint8 and (env.render() == 200).all()
        return
    with pytest.raises(envs.EnvError, match=r"render\(\): expected.*" + message):
        env.render()


def test_pictures_of_environments_made_for_drawing():
    env = envs.from_user(Walk())
    env.reset(0)
    with pytest.raises(NotImplementedError, match="render_mode='rgb_array'"):
        env.render()
