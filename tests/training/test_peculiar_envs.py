"""Runs in environments that never end, die, or show what no film can hold."""

import sys
import textwrap

import numpy as np
import pytest

import dreamer_tf
from dreamer_tf.apps import commands
from dreamer_tf.envs import EnvError
from dreamer_tf.runs import videos
from dreamer_tf.specs import Space
from dreamer_tf.training.guard import NonFiniteError
from tests.counting import CountingEnv
from tests.folders import metrics, newest_state

NO_UPDATES = {"run.pretrain": 0, "run.train_updates": 0}
ENDLESS = {"env": lambda: CountingEnv(10**9), "env.time_limit": 0}


def values(folder, name):
    """Those of one metric, in order."""
    return [line[name] for line in metrics(folder) if name in line]


def replayed(folder):
    """All stored rows, in order, as one dict of arrays; those of unfinished episodes last."""
    paths = sorted((folder / "replay").glob("*.npz")) + sorted((folder / "replay").glob("*/*.npz"))
    episodes = [np.load(path) for path in paths]
    return {key: np.concatenate([e[key] for e in episodes]) for key in episodes[0]}


class Moody(CountingEnv):
    """Episodes with an odd seed raise at step 3."""

    def step(self, action):
        row = super().step(action)
        if self._seed % 2 and self._count == 3:
            raise RuntimeError("the simulator is gone")
        return row


class Depth(CountingEnv):
    """An image of four channels."""

    def __init__(self):
        super().__init__(10, image=True)
        self._obs_space["image"] = Space(np.uint8, (16, 16, 4))

    def render(self):
        return np.full((16, 16, 4), self._count, np.uint8)


class BrokenLate(CountingEnv):
    """Observes NaN at one step of all, counted over episodes."""

    steps, broken_at = 0, 47

    def step(self, action):
        row = super().step(action)
        type(self).steps += 1
        return row | {"count": np.float32([np.nan])} if self.steps == self.broken_at else row


# --------------------------------------------------------------------- no end


def test_an_evaluation_without_an_end_is_bounded_and_says_so(run, tmp_path, capsys):
    run(**ENDLESS, **{"run.eval_limit": 25})
    assert values(tmp_path / "run", "eval/limited") == [3, 3]
    assert values(tmp_path / "run", "eval/length") == [25, 25]
    assert values(tmp_path / "run", "eval/return") == [25 * 26 / 2] * 2
    shown = capsys.readouterr().out
    assert shown.count("3 of 3 episodes had not ended after 25 frames") == 1
    assert "run.eval_limit is that bound" in shown
    evaluation = dreamer_tf.evaluate(tmp_path / "run", 2, env=ENDLESS["env"])
    assert evaluation.lengths == [25, 25] and evaluation.limited == 2


def test_episodes_that_end_within_the_bound_are_whole(run, tmp_path):
    run(env=lambda: CountingEnv(10), **{"run.eval_limit": 10, "env.time_limit": 0})
    assert values(tmp_path / "run", "eval/length") == [10, 10]
    assert values(tmp_path / "run", "eval/limited") == []
    run("limit", env=lambda: CountingEnv(30), **{"run.eval_limit": 10, "env.time_limit": 30})
    assert values(tmp_path / "limit", "eval/length") == [30, 30], "a longer time limit rules"


def test_the_agent_takes_over_where_no_episode_ends(run, tmp_path, capsys):
    options = {**ENDLESS, "run.eval_every": 0, "replay.ongoing": True}
    run(**options, **NO_UPDATES)
    rows = replayed(tmp_path / "run")
    assert len(rows["action"]) == 101 and not rows["is_last"].any()
    assert np.abs(rows["action"][1:31]).max() > 0.5
    # The counting agent's own actions are its steps over 100, and noise.
    assert np.abs(rows["action"][31:101, 0] - np.arange(70) / 100).max() < 0.11
    capsys.readouterr()
    assert int(run("learning", **options).updates) > 0
    assert "nothing was learned" not in capsys.readouterr().out


def test_a_run_that_learned_nothing_says_so_and_why(run, capsys):
    agent = run(**ENDLESS, **{"run.eval_every": 0})
    shown = capsys.readouterr().out
    assert int(agent.updates) == 0
    assert "no episode has ended in 30 frames" in shown and "env.time_limit cuts them" in shown
    assert "nothing was learned: no update was made (a sequence of 6 rows needs" in shown
    run("prefill", **{"run.prefill": 100, "run.pretrain": 0})
    shown = capsys.readouterr().out
    assert "nothing was learned: no update was made (run.prefill is 100 of 100 frames)" in shown
    run("learned")
    assert "nothing was learned" not in capsys.readouterr().out


# -------------------------------------------------------------------- crashes


@pytest.mark.parametrize("count", [1, 2])
def test_an_evaluation_is_of_whole_episodes(run, tmp_path, capsys, count):
    options = {"run.eval_episodes": 4, "run.eval_count": count}
    run(env=lambda: Moody(6), **options)
    crashed = values(tmp_path / "run", "eval/crashed")
    assert values(tmp_path / "run", "eval/return") == [21, 21]
    assert values(tmp_path / "run", "eval/return_std") == [0, 0]
    assert crashed and min(crashed) > 0
    shown = capsys.readouterr().out
    assert f"the environment died in {crashed[0]} episodes, which do not count" in shown
    evaluation = dreamer_tf.evaluate(
        tmp_path / "run", 4, env=lambda: Moody(6), video=tmp_path / "film.gif", count=count
    )
    assert evaluation.returns == [21.0] * 4 and evaluation.crashed > 0
    frames = videos.imageio.imread(tmp_path / "film.gif")
    assert len(frames) == 7, "the film is of a whole episode, too"


def test_an_evaluation_without_a_whole_episode_has_no_return(run, tmp_path, capsys):
    class Dying(CountingEnv):
        def step(self, action):
            row = super().step(action)
            if self._count == 3:
                raise RuntimeError("the simulator is gone")
            return row

    # Few enough frames that no more deaths in a row are counted in training, which end a run.
    run(env=lambda: Dying(6), steps=36, **{"run.eval_episodes": 2, "run.eval_every": 18})
    assert values(tmp_path / "run", "eval/crashed") == [13, 13]
    assert values(tmp_path / "run", "eval/return") == []
    assert "none was whole, so there is no return" in capsys.readouterr().out
    with pytest.raises(EnvError, match="died in 12 episodes.*none was whole"):
        dreamer_tf.evaluate(tmp_path / "run", 1, env=lambda: Dying(6))


# ---------------------------------------------------------------------- films


def test_a_film_is_made_of_any_number_of_channels(run, tmp_path):
    run(env=Depth, **{"run.video_every": 40})
    names = sorted(path.name for path in (tmp_path / "run" / "videos").iterdir())
    assert "000000040-eval.mp4" in names and "000000080-eval.mp4" in names
    film = dreamer_tf.evaluate(tmp_path / "run", 1, env=Depth, video=tmp_path / "film.gif").video
    assert film.stat().st_size > 0


def test_a_run_does_not_end_for_a_film(run, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(videos, "save_video", full)
    run(env=Depth, **{"run.video_every": 40})
    shown = capsys.readouterr().out
    assert "no film eval at 40 frames (OSError: [Errno 28] No space left on device)" in shown
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 100


# ------------------------------------------------------------ saved before it


def test_what_an_environment_ends_is_saved_first_and_goes_on(run, tmp_path, capsys):
    BrokenLate.steps = 0
    options = {"run.eval_every": 0, "env": lambda: BrokenLate(10)}
    with pytest.raises(EnvError, match="'count'.*NaN"):
        run(**options)
    assert "saved at 46 frames, before EnvError ends the run" in capsys.readouterr().out
    counters = newest_state(tmp_path / "run")["counters"]
    assert counters["env_frames"] == 46 and counters["grad_steps"] > 0
    rows = replayed(tmp_path / "run")
    assert rows["count"][-1] == 6 and rows["is_last"][-1] and not rows["is_terminal"][-1]
    agent = run(**options)
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 100
    assert int(agent.updates) == newest_state(tmp_path / "run")["counters"]["grad_steps"]


def test_what_learning_ends_is_saved_first(run, agents, tmp_path):
    agents.make.nonfinite = (5, 6, 7, 8)
    with pytest.raises(NonFiniteError):
        run(**{"run.nonfinite_limit": 2})
    assert newest_state(tmp_path / "run")["counters"]["grad_steps"] >= 7


def test_an_error_while_saving_does_not_hide_what_ended_the_run(run, monkeypatch, caplog):
    BrokenLate.steps = 0
    monkeypatch.setattr("dreamer_tf.runs.checkpoint.Checkpoints.save", lambda *_, **__: 1 / 0)
    with pytest.raises(EnvError, match="'count'.*NaN"):
        run(env=lambda: BrokenLate(10), **{"run.eval_every": 0})
    assert "could not be saved before (ZeroDivisionError" in caplog.text


# ------------------------------------------------------ from the command line


@pytest.fixture
def robot(tmp_path, monkeypatch):
    """A current folder with the environment ``my_robot:Arm``, which takes an argument."""
    text = """
        import gymnasium
        import numpy as np

        class Arm(gymnasium.Env):
            action_space = gymnasium.spaces.Discrete(2)

            def __init__(self, joints, speed=1.0):
                self.observation_space = gymnasium.spaces.Box(-1, 1, (joints,))
                self.speed = speed

            def reset(self, seed=None, options=None):
                self.steps = 0
                return np.zeros(self.observation_space.shape, np.float32), {}

            def step(self, action):
                self.steps += 1
                obs = np.zeros(self.observation_space.shape, np.float32)
                return obs, self.speed, self.steps == 5, False, {}
        """
    (tmp_path / "my_robot.py").write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    return tmp_path


def test_environments_of_ones_own_on_the_command_line(robot, capsys):
    arguments = ["--env.kwargs", "joints=3", "speed=2.5", "--env.action_repeat", "1"]
    words = ["--env", "my_robot:Arm", "--logdir", "run", "--agent", "random"]
    few = ["--steps", "30", "--run.eval_every", "0", "--run.prefill", "30"]
    commands.train(["--configs", "debug", *words, *few, *arguments])
    assert dreamer_tf.config.read("run").task == "my_robot:Arm"
    commands.train(["--logdir", "run", "--steps", "40"])  # The run knows its environment.
    capsys.readouterr()
    commands.evaluate(["--logdir", "run", "--episodes", "2"])
    assert capsys.readouterr().out.startswith("return 12.5 ± 0 (")
    commands.evaluate(["--logdir", "run", "--env", "my_robot:Arm", "--episodes", "1"])
    with pytest.raises(SystemExit) as raised:
        commands.train(["--configs", "debug", "--env", "my_robot:Arm", "--logdir", "other"])
    assert raised.value.code == 2
    assert "missing a required argument: 'joints'" in capsys.readouterr().err
