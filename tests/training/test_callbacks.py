"""What a run tells while it goes on, who may end it, and what `train` returns."""

import datetime
import functools
import json
import logging
import shutil

import gymnasium
import numpy as np
import pytest

import dreamer_tf
from dreamer_tf import envs
from dreamer_tf.apps.api.training import prepare
from dreamer_tf.config import ConfigError
from dreamer_tf.runs.errors import NoCheckpointError, RunFolderError
from dreamer_tf.training import loop
from tests.counting import CountingEnv
from tests.training.counting_agent import CountingAgent, SeededEnv

MEASURED = ("speed/", "time/", "memory/")


class SelfMade(gymnasium.Env):
    """One that is registered nowhere."""


class Told(dreamer_tf.Callback):
    """Keeps what it is told, with the frames of the run then."""

    def __init__(self, stop_at=None):
        self.events = []
        self.stop_at = stop_at

    def on_start(self, run):
        self.events.append(("start", run.env_frames, run.logdir.name))

    def on_episode(self, run, metrics):
        self.events.append(("episode", run.env_frames, metrics["train/return"]))
        if self.stop_at is not None and run.env_frames >= self.stop_at:
            run.stop("enough was seen")

    def on_interval(self, run, metrics):
        self.events.append(("interval", run.env_frames, metrics["grad_steps"]))
        assert metrics["grad_steps"] == run.grad_steps == run.latest["grad_steps"]
        assert metrics["episodes"] == run.episodes

    def on_evaluation(self, run, metrics):
        self.events.append(("evaluation", run.env_frames, metrics["eval/return"]))

    def on_checkpoint(self, run, path):
        assert (path / "state.json").is_file() and path.parent.parent == run.logdir
        self.events.append(("checkpoint", run.env_frames, path.name))

    def of(self, kind):
        return [(frames, told) for event, frames, told in self.events if event == kind]


def test_callbacks_hear_of_everything_and_the_result_shows_it(train, tmp_path):
    told, other = Told(), Told()
    result = train(callbacks=[told, other])
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]

    def logged(name):
        return [(line["step"], line[name]) for line in lines if name in line]

    assert told.events == other.events
    assert told.events[0] == ("start", 0, "run")
    assert told.of("episode") == logged("train/return") and len(told.of("episode")) > 8
    assert told.of("interval") == logged("grad_steps") and len(told.of("interval")) >= 5
    assert told.of("evaluation") == logged("eval/return") and len(told.of("evaluation")) == 2
    assert told.events[-1][:2] == ("checkpoint", 100)

    assert result.stopped is None and result.logdir == tmp_path / "run"
    assert [*zip(result.curve.xs, result.curve.ys, strict=True)] == logged("eval/return")
    metrics = result.metrics()
    for name in ("train/return", "grad_steps", "count_loss"):
        assert [*zip(metrics[name].xs, metrics[name].ys, strict=True)] == logged(name)


def test_metrics_leave_out_what_was_lost(train, tmp_path):
    result = train(steps=45)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "count_loss": 1e9}\n')  # As a process that was killed leaves it.
    assert 1e9 in result.metrics()["count_loss"].ys
    assert 1e9 not in train(steps=60).metrics()["count_loss"].ys


def test_metrics_leave_out_what_was_lost_where_steps_do_not_fall(train, tmp_path):
    """As after a kill: the run goes on at the frames that its replay has."""
    train(steps=45)
    result = train(steps=60)
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 60, "count_loss": 1e9}\n')
    shutil.rmtree(max((tmp_path / "run" / "checkpoints").iterdir()))
    assert 1e9 in result.metrics()["count_loss"].ys
    result = train(steps=80)
    assert 1e9 not in result.metrics()["count_loss"].ys
    starts = json.loads((tmp_path / "run" / "info.json").read_text())
    assert [start["env_frames"] for start in starts] == [0, 45, 60]
    assert [start["saved_frames"] for start in starts] == [0, 45, 45]


def test_an_evaluation_after_the_checkpoint_at_its_frame_is_lost_with_its_weights(
    train, agents, tmp_path, monkeypatch
):
    class Saving(CountingAgent):
        """Saves after the last update before the evaluation."""

        def train_step(self, batch, carry):
            outcome = super().train_step(batch, carry)
            clocks[-1].is_due = int(self.updates) == 6
            return outcome

    class Clock:
        def __init__(self, period):
            self.is_due = False
            clocks.append(self)

        def due(self):
            return self.is_due

        def mark(self):
            self.is_due = False

    clocks, told = [], Told()
    agents.make.kind = Saving
    monkeypatch.setattr(loop, "Seconds", Clock)
    options = {"run.eval_every": 42, "run.checkpoint_best": False}
    train(steps=60, callbacks=[told], **options)
    kinds = [kind for kind, frames, _ in told.events if frames == 42]
    assert kinds.index("checkpoint") < kinds.index("evaluation")
    shutil.rmtree(max((tmp_path / "run" / "checkpoints").iterdir()))  # It was killed before.
    result = train(steps=70, **options)
    assert result.curve.xs.tolist() == [60]  # It was due, and is made where the run goes on.
    assert result.metrics()["eval/return"].xs.tolist() == [60]


def test_a_callback_ends_the_run_which_is_saved_and_goes_on(train, capsys):
    told = Told(stop_at=50)
    result = train(callbacks=[told])
    frames = told.events[-1][1]
    assert result.stopped == "enough was seen"
    assert 50 <= frames < 60 and told.of("checkpoint")[-1][1].startswith("0000")
    assert f"-frames{frames}-" in told.of("checkpoint")[-1][1]
    assert "stopped, as enough was seen\n" in capsys.readouterr().out
    again = Told()
    assert train(callbacks=[again]).stopped is None
    assert again.events[0][:2] == ("start", frames) and again.events[-1][1] == 100


def test_an_error_of_a_callback_ends_the_run_when_it_is_saved(train, tmp_path):
    class Broken(dreamer_tf.Callback):
        def on_evaluation(self, run, metrics):
            if run.env_frames >= 40:
                raise RuntimeError("it was not checked")

    with pytest.raises(RuntimeError, match="not checked"):
        train(callbacks=[Broken()], **{"run.checkpoint_best": False})
    [checkpoint] = (tmp_path / "run" / "checkpoints").iterdir()
    assert "-frames40-" in checkpoint.name


def test_an_error_of_a_callback_at_the_end_ends_the_run_when_it_is_saved(train, tmp_path):
    class Broken(dreamer_tf.Callback):
        def on_interval(self, run, metrics):
            if run.env_frames >= run.config.steps:
                raise RuntimeError("it was not checked")

    with pytest.raises(RuntimeError, match="not checked"):
        train(steps=55, callbacks=[Broken()], **{"run.checkpoint_best": False})
    [checkpoint] = (tmp_path / "run" / "checkpoints").iterdir()
    assert "-frames55-" in checkpoint.name


def test_a_return_ends_the_run_at_the_evaluation_that_reaches_it(train):
    best = max(train("whole").curve.ys)
    result = train(stop=best)
    assert result.curve.ys[-1] >= best and (result.curve.ys[:-1] < best).all()
    assert "has reached" in result.stopped


def test_without_evaluations_the_last_ten_episodes_decide(train):
    told = Told()
    result = train(stop=-1.0, env=lambda: CountingEnv(5), callbacks=[told], **{"run.eval_every": 0})
    assert len(told.of("episode")) == 10 and result.stopped


def test_a_time_and_a_function_end_the_run(train):
    assert train("now", stop=datetime.timedelta()).stopped == "its time is up"
    seen = []
    limits = [
        1e9,
        datetime.timedelta(hours=9),
        lambda run: seen.append(run.env_frames) or run.grad_steps >= 10,
    ]
    result = train("function", stop=limits)
    assert "says so" in result.stopped and seen == sorted(seen) and 30 < seen[-1] < 100


@pytest.mark.parametrize("limit", ["1h", True, [900, "1h"]])
def test_a_limit_that_is_none_is_refused(train, tmp_path, limit):
    with pytest.raises(ValueError, match="expected a return .*, a datetime.timedelta or a funct"):
        train(stop=limit)
    assert not (tmp_path / "run").exists()


def test_quiet_leaves_the_terminal_alone(train, capsys, caplog):
    with caplog.at_level(logging.INFO, logger="dreamer_tf.runs.terminal"):
        train(steps=40, quiet=True, report=True)
    assert capsys.readouterr().out == ""
    assert "learning starts" in caplog.text and "report " in caplog.text


# ---- The best checkpoint.


def best_of(folder):
    return json.loads((folder / "best.json").read_text())


def test_the_best_checkpoint_is_that_of_the_best_evaluation_and_is_kept(train, tmp_path):
    class Weights(dreamer_tf.Callback):
        seen = {}

        def on_evaluation(self, run, metrics):
            self.seen[run.env_frames] = metrics["eval/return"], run.agent.weight.numpy()

    options = {"run.eval_every": 20, "run.checkpoint_keep": 1}
    result = train(callbacks=[Weights()], steps=120, **options)
    scores = {frames: score for frames, (score, _) in Weights.seen.items()}
    frames = max(scores, key=scores.get)
    assert frames < 120, "the test should not be about the newest"
    assert best_of(result.logdir)["score"] == scores[frames]
    names = sorted(path.name for path in (result.logdir / "checkpoints").glob("0*"))
    assert [name.split("-")[1] for name in names] == [f"frames{frames}", "frames120"]

    load = dreamer_tf.load
    np.testing.assert_array_equal(
        load(result.logdir, checkpoint="best").weight, Weights.seen[frames][1]
    )
    np.testing.assert_array_equal(
        load(result.logdir, checkpoint=frames).weight, Weights.seen[frames][1]
    )
    np.testing.assert_array_equal(load(result.logdir).weight, result.agent.weight)
    assert (load(result.logdir).weight.numpy() != Weights.seen[frames][1]).any()
    with pytest.raises(NoCheckpointError, match=f"no checkpoint 30;.* at {frames}, 120 frames"):
        load(result.logdir, checkpoint=30)

    # A run that goes on knows how good the best one was, and keeps it.
    train(steps=125, **options)
    assert best_of(result.logdir)["checkpoint"] == names[0]


def test_without_evaluations_there_is_no_best_one(train):
    result = train(steps=40, **{"run.eval_every": 0})
    for function in (dreamer_tf.evaluate, dreamer_tf.load):
        with pytest.raises(RunFolderError, match="nothing"):
            function(result.logdir / "nothing")
    with pytest.raises(NoCheckpointError, match="no checkpoint 'best'.*at 40 frames"):
        dreamer_tf.load(result.logdir, checkpoint="best")


def test_keeping_the_best_changes_nothing_in_the_run(train, tmp_path):
    for name, keep in ("with", True), ("without", False):
        train(name, steps=60, **{"run.eval_every": 20, "run.checkpoint_best": keep})
    runs = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("with", "without")]
    with_best, without = (
        [
            {key: value for key, value in json.loads(line).items() if not key.startswith(MEASURED)}
            for line in text.splitlines()
        ]
        for text in runs
    )
    assert with_best == without
    assert not (tmp_path / "without" / "best.json").exists()


# ---- A class of one's own.


class Bolder(CountingAgent):
    """Another agent, which a module has under its name."""


def test_a_class_of_ones_own_trains_and_goes_on_by_its_name(train, monkeypatch):
    result = train(agent=Bolder, steps=40)
    assert type(result.agent) is Bolder
    assert json.loads((result.logdir / "scores.json").read_text())[0]["method"] == "Bolder"
    monkeypatch.undo()  # The fixture would make another agent of the name.
    again = dreamer_tf.train(SeededEnv, logdir=result.logdir, steps=50)
    assert type(again.agent) is Bolder and int(again.agent.updates) > int(result.agent.updates)


def test_a_class_inside_a_function_is_handed_in_again(train, monkeypatch):
    class Local(CountingAgent):
        pass

    logdir = train(agent=Local, steps=40).logdir
    monkeypatch.undo()
    assert type(dreamer_tf.load(logdir, agent=Local)) is Local
    with pytest.raises(ConfigError, match=r"has no '<locals>'.*load\(logdir, agent=MyAgent\)"):
        dreamer_tf.load(logdir)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        (CountingEnv, "CountingEnv"),
        (CountingEnv(), "CountingEnv"),
        (functools.partial(functools.partial(CountingEnv, length=5), length=7), "CountingEnv"),
        (envs.Vectorized(functools.partial(CountingEnv)), "CountingEnv"),
        (gymnasium.make("CartPole-v1"), "CartPole_v1"),
        (gymnasium.wrappers.TimeLimit(SelfMade(), 5), "SelfMade"),
        (lambda: CountingEnv(), "custom"),
    ],
)
def test_a_task_has_the_name_of_the_environment_inside_its_wrappers(env, name):
    assert prepare(env, ["debug"], None, None, None, {})[1].config.task == name
