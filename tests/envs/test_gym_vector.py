"""gymnasium's ``VectorEnv`` as input: what reaches the replay in each autoreset mode."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers.vector import DictInfoToList

from dreamer_tf import envs
from dreamer_tf.replay import Replay, read_episodes
from dreamer_tf.specs import row_spaces
from dreamer_tf.training.driver import Driver, EpisodeStatistics

LENGTHS = (3, 5, 4)


class Counting(gymnasium.Env):
    """Episodes of a length, that terminate or are cut off; the reward on arriving at n is n."""

    observation_space = gymnasium.spaces.Dict(
        count=gymnasium.spaces.Box(0, 99, (1,)),
        which=gymnasium.spaces.Discrete(3),
        image=gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8),
    )
    action_space = gymnasium.spaces.Dict(
        push=gymnasium.spaces.Box(-2, 4, (2,)), gear=gymnasium.spaces.Discrete(3, start=1)
    )

    def __init__(self, which):
        self.which, self.count, self.taken = which, 0, []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.observe(), {}

    def step(self, action):
        self.count += 1
        self.taken.append(action)
        last = self.count == LENGTHS[self.which]
        return self.observe(), float(self.count), last and self.which == 0, last, {}

    def observe(self):
        image = np.full((8, 8, 3), self.count, np.uint8)
        return {"count": np.array([self.count], np.float32), "which": self.which, "image": image}


def make(mode):
    constructors = [lambda which=which: Counting(which) for which in range(3)]
    return SyncVectorEnv(constructors, autoreset_mode=mode)


def options(**changed):
    return {"action_repeat": 1, "time_limit": 0, "image_size": None, "keys": ".*", "kwargs": {}} | (
        changed
    )


@pytest.mark.parametrize("mode", AutoresetMode)
def test_every_row_reaches_the_replay(mode, tmp_path):
    vector = envs.Vectorized(lambda: make(mode)).start(0, **options())
    assert len(vector) == 3 and vector.obs_space["image"].shape == (8, 8, 3)
    assert vector.native_act_space["push"].low.tolist() == [-2, -2]
    spaces = row_spaces(vector.obs_space, vector.act_space)
    replay = Replay(tmp_path, spaces, capacity=0, seed=0)
    played, decided = [], {stream: [] for stream in range(3)}
    driver = Driver(vector, [replay.add, EpisodeStatistics(played.append)])

    def policy(arrived, state):
        """Marks every action by the step and the stream; counts on from the observation."""
        count = arrived["count"][:, 0]
        push = np.stack([count / 100, np.arange(3) / 10], -1).astype(np.float32)
        for stream in range(3):
            if not arrived["is_last"][stream]:
                decided[stream].append(count[stream])
        return {"push": push, "gear": (count % 3).astype(np.int32)}, state

    with vector:
        acted = sum(driver.step(policy) for _ in range(25))
    episodes = {0: [], 1: [], 2: []}
    for episode in read_episodes(tmp_path, spaces):
        episodes[int(np.argmax(episode["which"][0]))].append(episode)
    for which, length in enumerate(LENGTHS):
        assert len(episodes[which]) == {
            AutoresetMode.NEXT_STEP: 25 // (length + 1),
        }.get(mode, 24 // length)
        for episode in episodes[which]:
            count = np.arange(length + 1)
            assert episode["count"][:, 0].tolist() == count.tolist()
            assert episode["image"][:, 0, 0, 0].tolist() == count.tolist()
            assert episode["reward"].tolist() == count.tolist()
            assert episode["is_first"].tolist() == (count == 0).tolist()
            assert episode["is_last"].tolist() == (count == length).tolist()
            assert episode["is_terminal"].any() == (which == 0)
            # The action that led to each row; nothing led to the first.
            led = np.maximum(count - 1, 0)
            np.testing.assert_allclose(episode["push"][:, 0], led / 100, atol=1e-6)
            np.testing.assert_allclose(episode["push"][1:, 1], which / 10, atol=1e-6)
            assert episode["gear"].tolist() == (led % 3 * (count > 0)).tolist()
        assert decided[which][:length] == list(range(length))
    assert {(episode.stream, episode.length, episode.score) for episode in played} == {
        (which, length, length * (length + 1) / 2) for which, length in enumerate(LENGTHS)
    }
    running = (
        3 * 24
        if mode != AutoresetMode.NEXT_STEP
        else 24 * 3 - len(played) + sum(25 % (length + 1) == 0 for length in LENGTHS)
    )
    assert acted == running


def test_the_simulator_gets_its_own_actions():
    vector = envs.GymVectorEnv(lambda: make(AutoresetMode.SAME_STEP), seed=0)
    vector.step({}, np.ones(3, bool))
    actions = {
        "push": np.array([[-1, 1], [0, 0], [1, -1]], np.float32),
        "gear": np.array([0, 1, 2], np.int32),
    }
    vector.step(actions, np.zeros(3, bool))
    taken = [env.unwrapped.taken[0] for env in vector._env.envs]
    assert [action["push"].tolist() for action in taken] == [[-2, 4], [1, 1], [4, -2]]
    assert [int(action["gear"]) for action in taken] == [1, 2, 3]


def test_the_same_seed_begins_the_same_and_restoring_begins_anew():
    def begin(seed, episodes=None):
        vector = envs.GymVectorEnv(
            lambda: gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"),
            seed=seed,
        )
        if episodes is not None:
            vector.restore(episodes)
        with vector:
            return vector.step({}, np.ones(2, bool))["vector"].tolist()

    assert begin(1) == begin(1) != begin(2)
    assert begin(1, [3, 4]) == begin(1, [3, 4]) != begin(1)


def test_what_does_not_fit_is_explained():
    with pytest.raises(envs.EnvError, match="action_repeat to 1 .* they are 2 and 0"):
        envs.Vectorized(lambda: make(AutoresetMode.DISABLED)).start(0, **options(action_repeat=2))
    with pytest.raises(envs.EnvError, match=r"pass.* dreamer_tf.envs.Vectorized\(lambda"):
        envs.from_user(lambda: make(AutoresetMode.DISABLED))
    with pytest.raises(envs.EnvError, match="expected a gymnasium VectorEnv, .* got Counting"):
        envs.GymVectorEnv(lambda: Counting(0), seed=0)

    def unsaid():
        made = make(AutoresetMode.DISABLED)
        made.metadata = {}
        return made

    with pytest.raises(envs.EnvError, match="NextStep, SameStep, Disabled, got None"):
        envs.GymVectorEnv(unsaid, seed=0)
    vector = envs.GymVectorEnv(lambda: make(AutoresetMode.NEXT_STEP), seed=0)
    vector.step({}, np.ones(3, bool))
    with pytest.raises(envs.EnvError, match="cannot be left before it ends"):
        vector.step({}, np.array([True, False, False]))


@pytest.mark.parametrize(
    "simulator",
    [
        lambda: make(AutoresetMode.DISABLED),  # Its environments have no render().
        lambda: gymnasium.make_vec("Pendulum-v1", num_envs=2, vectorization_mode="sync"),
    ],
)
def test_one_that_does_not_draw_says_so(simulator):
    with envs.GymVectorEnv(simulator, seed=0) as vector:
        vector.step({}, np.ones(len(vector), bool))
        with pytest.raises(envs.EnvError, match="draws no pictures"):
            vector.render(0)


def test_wrong_images_and_keys_are_named():
    class Floats(SyncVectorEnv):
        def reset(self, **given):
            obs, info = super().reset(**given)
            return obs | {"image": obs["image"] / 255}, info

    vector = envs.GymVectorEnv(lambda: Floats([lambda: Counting(0)]), seed=0, image_size=None)
    with pytest.raises(envs.EnvError, match="image.*got dtype float64"):
        vector.step({}, np.ones(1, bool))

    def named(key):
        class Named(Counting):
            observation_space = gymnasium.spaces.Dict({key: gymnasium.spaces.Box(0, 99, (1,))})

        return lambda: SyncVectorEnv([lambda: Named(0)])

    renamed = envs.GymVectorEnv(named("push"), seed=0)
    assert set(renamed.act_space) == {"action/push", "gear"}
    renamed = envs.GymVectorEnv(named("reward"), seed=0)
    assert set(renamed.obs_space) == {"observation/reward"}


class Changed(SyncVectorEnv):
    """Hands what it returns through a function of all five values."""

    def __init__(self, change, mode=AutoresetMode.SAME_STEP):
        super().__init__([lambda: Counting(0), lambda: Counting(1)], autoreset_mode=mode)
        self._change = change

    def step(self, actions):
        return self._change(*super().step(actions))


IDLE = {"push": np.zeros((2, 2), np.float32), "gear": np.zeros(2, np.int32)}


def under(key):
    def change(*values):
        *values, info = values
        return (*values, {key if name == "final_obs" else name: x for name, x in info.items()})

    return lambda: Changed(change)


def merged(obs, reward, terminated, truncated, info):
    """Final observations as one dict of batches, with zeros for those that go on."""
    if "final_obs" in info:
        each = [final or Counting(0).observe() for final in info["final_obs"]]
        info["final_obs"] = {key: np.stack([one[key] for one in each]) for key in each[0]}
    return obs, reward, terminated, truncated, info


class NoArray:
    """A batch on a GPU."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy.")


def columns(obs, *values):
    *numbers, info = values
    return (obs, *(np.asarray(number)[:, None] for number in numbers), info)


@pytest.mark.parametrize("simulator", [
    *map(under, ("final_obs", "final_observation", "terminal_observation")),
    lambda: DictInfoToList(under("final_obs")()),
    lambda: Changed(merged),
    lambda: Changed(columns),
])  # fmt: skip
def test_the_last_observation_is_found_wherever_it_is_kept(simulator):
    with envs.GymVectorEnv(simulator, seed=0, image_size=None) as vector:
        vector.step({}, np.ones(2, bool))
        for count in (1, 2, 3):
            rows = vector.step(IDLE, np.zeros(2, bool))
            assert rows["reward"].tolist() == [0 if count == 3 else count, count]
        assert list(vector.ended) == [0]
        last = vector.ended[0]
        assert last["count"] == last["reward"] == 3 and last["is_terminal"]
        assert rows["count"][:, 0].tolist() == [0, 3]


@pytest.mark.parametrize(("change", "message"), [
    (lambda *values: values[:4], "must return 5 values, got 4"),
    (lambda *values: None, "must return 5 values, got None"),
    (lambda obs, reward, *rest: (obs, reward[:1], *rest), "'reward': expected a number for each of "
     r"2 environments, got an array of float64 of shape \(1,\)"),
    (lambda obs, reward, *rest: (obs, None, *rest), "'reward': expected.*got None"),
    (lambda obs, reward, ended, *rest: (obs, reward, np.zeros(3), *rest), "'terminated': expected"),
    (lambda obs, reward, ended, *rest: (obs, reward, np.array([np.nan, 1]), *rest),
     r"'terminated': expected true or false \(1 or 0\), got \[nan, 1.0\]"),
    (lambda obs, reward, ended, cut, info: (obs, reward, ended, np.array([0.3, 0]), info),
     "'truncated': expected true or false.*got .0.3"),
    (lambda obs, reward, *rest: (obs, NoArray(), *rest), "'reward': .*class NoArray.*cuda:0"),
    (lambda obs, *rest: (obs | {"count": NoArray()}, *rest), "'count': .*class NoArray.*cuda:0"),
    (lambda *values: (*values[:4], {"final_observation": {"count": 1}}),
     "'final_observation' of the info: expected an observation for each of 2.*keys 'count'"),
    (lambda *values: (*values[:4], {"final_obs": 3}), "'final_obs' of the info: expected.*got 3"),
    (lambda obs, *rest: (obs | {"count": np.zeros((3, 1))}, *rest), "'count': expected an array"),
    (lambda obs, *rest: (obs | {"count": 3}, *rest), "'count': expected an array.*got 3"),
    (lambda obs, *rest: ({"which": obs["which"]}, *rest), "'count': the observation does not hold"),
    (lambda *values: (*values[:4], {}), "environment 0 ended.*one of final_obs, final_.*(none)"),
    (lambda *values: (*values[:4], [{}]), "environment 0 ended.*one of final_obs, final_.*list"),
])  # fmt: skip
def test_wrong_steps_of_a_vector_env_are_named(change, message):
    vector = envs.GymVectorEnv(lambda: Changed(change), seed=0, image_size=None)
    vector.step({}, np.ones(2, bool))
    with pytest.raises(envs.EnvError, match=message):
        for _ in range(3):
            vector.step(IDLE, np.zeros(2, bool))


@pytest.mark.parametrize("takes", ["nothing", "seed"])
def test_a_reset_of_a_vector_env_that_takes_too_little_is_named(takes):
    class Poor(SyncVectorEnv):
        def reset(self, seed=None):
            return super().reset(seed=seed)

    class Poorer(Poor):
        def reset(self):
            return super().reset()

    kind = Poor if takes == "seed" else Poorer
    vector = envs.GymVectorEnv(
        lambda: kind([lambda: Counting(0)], autoreset_mode=AutoresetMode.DISABLED), seed=0
    )
    idle = {key: value[:1] for key, value in IDLE.items()}
    with pytest.raises(envs.EnvError, match=r"reset\(\) of a VectorEnv must take seed and options"):
        vector.step({}, np.ones(1, bool))
        for _ in range(3):
            vector.step(idle, np.zeros(1, bool))


@pytest.mark.parametrize("picture", [np.full((4, 4, 3), 0.9), np.full((4, 4, 3), 300)])
def test_pictures_of_a_vector_env_are_bytes(picture):
    class Drawing(SyncVectorEnv):
        def render(self):
            return [picture]

    with envs.GymVectorEnv(lambda: Drawing([lambda: Counting(0)]), seed=0) as vector:  # noqa: SIM117
        with pytest.raises(envs.EnvError, match=r"render\(\): expected a picture of bytes"):
            vector.render()


def test_a_wrong_reset_of_a_vector_env_is_named():
    class Old(SyncVectorEnv):
        def reset(self, **given):
            return super().reset(**given)[0]

    vector = envs.GymVectorEnv(lambda: Old([lambda: Counting(0)]), seed=0, image_size=None)
    with pytest.raises(envs.EnvError, match=r"reset\(\) of a VectorEnv must return.*got a dict"):
        vector.step({}, np.ones(1, bool))


def test_a_look_at_several_is_one_at_one_of_them():
    with pytest.raises(envs.EnvError, match="check one of its environments instead"):
        envs.check_env(envs.Vectorized(lambda: make(AutoresetMode.SAME_STEP)))


def test_an_error_in_closing_is_only_told(caplog):
    class Stuck(SyncVectorEnv):
        def close(self):
            raise AttributeError("no viewer")

    with envs.GymVectorEnv(lambda: Stuck([lambda: Counting(0)]), seed=0):
        pass
    assert "closing the VectorEnv failed" in caplog.text and "no viewer" in caplog.text


def test_envpool_is_one():
    envpool = pytest.importorskip("envpool", reason="pip install envpool (700 MB)")
    played = []
    with envs.GymVectorEnv(
        lambda: envpool.make_gymnasium("CartPole-v1", num_envs=3), seed=0
    ) as pool:
        driver = Driver(pool, [EpisodeStatistics(played.append)])
        idle = {"action": np.zeros(3, np.int32)}
        for _ in range(60):
            driver.step(lambda arrived, state: (idle, state))
    assert len(played) >= 12
    # Each action earns 1 until the pole falls, which it does soon.
    assert all(episode.score == episode.length and 7 <= episode.length <= 11 for episode in played)
