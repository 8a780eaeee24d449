"""Environments of one's own: how they are named and given arguments, and `check_env`."""

import os

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from dreamer_tf import envs
from dreamer_tf.envs import EnvError, check_env, gym_registry
from tests.counting import FailingEnv
from tests.envs import peculiar

# --------------------------------------------------------------- constructors


def test_constructors_take_arguments_and_say_which():
    assert envs.from_user(peculiar.Sized, kwargs={"size": 3}).obs_space["vector"].shape == (3,)
    with pytest.raises(EnvError, match=r"Sized\(size, scale=1.0\): missing.*'size'.*--env.kwargs"):
        envs.from_user(peculiar.Sized)
    with pytest.raises(EnvError, match="unexpected keyword argument 'sise'; got size=3, s"):
        envs.from_user(peculiar.Sized, kwargs={"size": 3, "sise": 3})
    with pytest.raises(EnvError, match="env.kwargs: got size for an environment object"):
        envs.from_user(peculiar.Plain(), kwargs={"size": 3})
    with pytest.raises(EnvError, match="env.kwargs: got size for 'dmc_walker_walk'"):
        envs.make("dmc_walker_walk", kwargs={"size": 3})


def test_ids_take_arguments_and_need_no_render_mode(caplog):
    task = "gymnasium_tests.envs.peculiar:"
    env = envs.make(task + "Claims-v0")
    assert env.reset(0)["is_first"] and "takes no render_mode" in caplog.text
    env = envs.make(task + "Sized-v0", kwargs={"size": 4})
    assert env.obs_space["vector"].shape == (4,)
    with pytest.raises(EnvError, match="(?s)Sized-v0 cannot be made.*'size'.*--env.kwargs"):
        envs.make(task + "Sized-v0")


def test_ids_that_cannot_draw_here_are_made_without_pictures(caplog):
    task = "gymnasium_tests.envs.peculiar:"
    for name, reason in (("Undisplayed-v0", "no display"), ("Uninstalled-v0", "install pygame")):
        assert envs.make(task + name).reset(0)["is_first"]
        assert f"'{name}': it cannot be made with render_mode='rgb_array', and draws" in caplog.text
        assert reason in caplog.text
        with pytest.raises(RuntimeError, match="no licence"):
            envs.make(task + name, kwargs={"works": False})


@pytest.mark.parametrize("metadata", [None, {"render_modes": None}, property(lambda self: {})])
def test_metadata_that_are_none_draw_nothing(metadata):
    class Odd:
        pass

    Odd.metadata = metadata
    assert not gym_registry._draws(EnvSpec("Odd-v0", Odd))


def test_keys_of_an_id_are_chosen_by_the_names_that_it_gives_them():
    env = envs.make("gymnasium_tests.envs.peculiar:Acting-v0", keys="action|pos")
    assert sorted(env.obs_space) == ["observation/action", "pos"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with the module ``my_robot`` in it."""
    (tmp_path / "my_robot.py").write_text(
        "from tests.envs.peculiar import Sized\n"
        "class Robots:\n    Arm = Sized\n"
        "def make_arm(size=2):\n    return Sized(size)\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    (tmp_path / "gym_arms.py").write_text("from my_robot import make_arm\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(os.getcwd())
    return tmp_path


def test_environments_of_ones_own_by_name(folder):
    assert envs.make("my_robot:make_arm").obs_space["vector"].shape == (2,)
    assert envs.make("gym_arms:make_arm").obs_space["vector"].shape == (2,)
    env = envs.make("my_robot:Robots.Arm", kwargs={"size": 3}, time_limit=2)
    assert env.obs_space["vector"].shape == (3,)
    with pytest.raises(EnvError, match="my_robot has no 'make_arms'; did you mean 'make_arm'"):
        envs.make("my_robot:make_arms")
    with pytest.raises(EnvError, match="there is no module 'my_robots'.*expected module:name"):
        envs.make("my_robots:Arm")
    with pytest.raises(EnvError, match="broken needs a module that is missing.*no_such_module"):
        envs.make("broken:Arm")
    with pytest.raises(EnvError, match="(?s)unknown task 'custom'.*evaluate.logdir, env="):
        envs.make("custom")


# ------------------------------------------------------------------ check_env


def test_check_env_tells_all_problems_at_once():
    space = spaces.Dict(
        {"x": spaces.Box(-1, 1, (2,)), "y": spaces.Discrete(2), "z": spaces.Text(3)}
    )
    actions = spaces.Box(-np.inf, 1, (2,))
    with pytest.raises(EnvError) as raised:
        check_env(lambda: peculiar.Returning(space, None, action_space=actions))
    assert len(raised.value.problems) == 2
    assert str(raised.value).startswith("2 problems:\n1. 'z': supported spaces")
    assert "\n2. 'action': an action needs finite bounds" in str(raised.value)
    space = spaces.Dict({key: space[key] for key in "xy"})
    with pytest.raises(EnvError) as raised:
        check_env(lambda: peculiar.Wrong(space, {"x": np.zeros(3), "y": 2}, reward=None))
    problems = [text.partition(":")[0] for text in raised.value.problems]
    assert sorted(problems) == ["'reward'", "'x'", "'y'"]


def test_check_env_goes_the_way_of_training(caplog):
    class InProcess(peculiar.Plain):
        def look(self):
            return np.full(2, os.getpid() == here, np.float32)

    here = os.getpid()
    assert "seen 0 to 0" in check_env(InProcess)
    assert "seen 0 to 0.5" in check_env(peculiar.Restless), "an array that is reused"
    text = check_env(peculiar.Sized, kwargs={"size": 3}, time_limit=2)
    assert "vector: Space(float32, (3,)" in text and "cut off" in text
    assert "evaluations are not filmed: Sized draws no pictures" in text
    assert "terminated" in check_env("gymnasium_CartPole-v1")
    assert not caplog.messages, "what there is to know stands in the text"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: FailingEnv("exit", at=2), "after 1 steps the environment failed.*exit code 7"),
    (lambda: FailingEnv("raise", at=2), r"after 1 steps the environment failed[\s\S]*broke"),
    (peculiar.Unwritten, r"step\(\) is not implemented"),
    (lambda: 3, "the constructor must return an environment.*got int"),
])  # fmt: skip
def test_check_env_tells_what_training_would_end_with(make, message):
    with pytest.raises(EnvError, match="1 problem:\n1. .*" + message):
        check_env(make)


def test_check_env_says_that_an_episode_differs_though_what_it_logs_is_not_there_again():
    class Longer(peculiar.Plain):
        def reset(self, **options):
            self.length += 1
            return super().reset(**options)

        def info(self):
            return {"log_length": self.length} if self.t >= self.length else {}

    assert "the episode differs" in check_env(Longer)


def test_check_env_says_that_no_end_came():
    assert "no end within 4 steps" in check_env(peculiar.Plain, steps=4)
    assert "no end" not in check_env(peculiar.Plain)


def test_check_env_as_a_command(capsys, folder):
    from dreamer_tf.envs import __main__ as command

    command.main(["my_robot:make_arm"])
    assert "vector: Space(float32, (2,)" in capsys.readouterr().out
    with pytest.raises(SystemExit) as raised:
        command.main(["my_robot:Robots.Arm"])
    assert raised.value.code == 2 and "1 problem:" in capsys.readouterr().err
    for words, least in (["--steps", "0"], 1), (["--seed", "-1"], 0):
        with pytest.raises(SystemExit) as raised:
            command.main(["my_robot:make_arm", *words])
        message = f"argument {words[0]}: expected a whole number from {least}, got {words[1]}"
        assert raised.value.code == 2 and message in capsys.readouterr().err


class Leftover(peculiar.Plain):
    """From its second episode on it observes something else at step 3, or cannot be reset."""

    ended, fails = 0, False

    def reset(self, seed=None, options=None):
        if self.ended and self.fails:
            raise RuntimeError("the door is locked")
        return super().reset()

    def step(self, action):
        obs, reward, ended, *rest = super().step(action)
        obs = obs + (self.t == 3) * self.ended / 10
        self.ended += ended
        return obs.astype(np.float32), reward, ended, *rest


def test_check_env_plays_the_same_episode_again():
    text = check_env(Leftover)
    assert "the episode differs at step 3 ('vector'): a run cannot be repeated" in text
    assert "played again" not in check_env(peculiar.Plain)
    assert "played again" not in check_env(peculiar.Moody), "that is said of its resets"

    class Locked(Leftover):
        fails = True

    with pytest.raises(EnvError, match=r"in the next episode, the environment failed[\s\S]*locked"):
        check_env(Locked)
