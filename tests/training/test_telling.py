"""What a run tells: metrics, scores, videos, writers of the caller, and lines on the terminal."""

import numpy as np
import pytest
import tensorflow as tf

import dreamer_tf
from dreamer_tf.runs.writers import Writer
from tests.counting import CountingEnv
from tests.folders import DOCUMENTATION, metrics, newest_state, replayed, scores
from tests.training.counting_agent import CountingAgent


def test_a_report_that_cannot_be_written_is_said_and_loses_nothing(run, tmp_path, capsys):
    (tmp_path / "run" / "report.html").mkdir(parents=True)
    agent = run(steps=40, report=True)
    assert (
        int(agent.updates) == 5 and newest_state(tmp_path / "run")["counters"]["env_frames"] == 40
    )
    message = capsys.readouterr().out.splitlines()[-1]
    assert message.startswith("the report could not be written (IsADirectoryError: ")
    assert message.endswith(f"the run is whole, and dreamer-report {tmp_path / 'run'} tries again")
    (tmp_path / "run" / "report.html").rmdir()
    run(steps=50, report=True)
    assert capsys.readouterr().out.endswith(f"report {tmp_path / 'run' / 'report.html'}\n")
    assert "50 <small>of 50</small>" in (tmp_path / "run" / "report.html").read_text("utf-8")


def test_scores_are_evaluation_returns_and_without_evaluation_training_returns(run, tmp_path):
    run("on", env=lambda: CountingEnv(4), **{"run.eval_every": 30})
    curve = scores(tmp_path / "on")
    assert curve == {
        "task": "custom",
        "method": "dreamer",
        "seed": 0,
        "xs": [30, 60, 90],
        "ys": [10.0] * 3,
    }
    run("off", env=lambda: CountingEnv(4), **{"run.eval_every": 0})
    assert scores(tmp_path / "off")["xs"] == list(range(4, 101, 4))
    assert set(scores(tmp_path / "off")["ys"]) == {10.0}
    # One curve has one kind of returns, whatever is switched between the starts of a run.
    run("on", env=lambda: CountingEnv(4), steps=120, **{"run.eval_every": 0})
    assert scores(tmp_path / "on")["xs"] == list(range(4, 121, 4))
    run("on", env=lambda: CountingEnv(4), steps=150, **{"run.eval_every": 30})
    assert scores(tmp_path / "on")["xs"] == [30, 60, 90, 120, 150]


def test_metrics_of_a_run(run, tmp_path):
    run(env=lambda: CountingEnv(10), **{"run.nonfinite_limit": 3})
    lines = metrics(tmp_path / "run")
    intervals = [line for line in lines if "speed/frames" in line]
    assert [line["step"] for line in intervals] == [20, 40, 60, 80, 100]
    last = intervals[-1]
    assert last["grad_steps"] == 2 + 25
    assert last["replay/rows"] == 110 and last["replay/episodes"] == 10
    assert last["replay/train_ratio"] == pytest.approx(27 * 18 / 100)
    assert last["memory/rss"] > last["memory/rss_anon"] > 0
    assert last["nonfinite"] == 0
    shares = [value for key, value in last.items() if key.startswith("time/")]
    assert sum(shares) == pytest.approx(1) and min(shares) >= 0
    assert "count_loss" in last and "count_loss" not in intervals[0]
    episodes = [line for line in lines if "train/return" in line]
    assert [line["step"] for line in episodes] == list(range(10, 101, 10))
    assert {(line["train/return"], line["train/length"]) for line in episodes} == {(55, 10)}
    evaluations = [line for line in lines if "eval/return" in line]
    assert [(line["step"], line["eval/return_std"]) for line in evaluations] == [(40, 0), (80, 0)]
    assert evaluations[0]["eval/length"] == 10


def test_every_metric_is_documented(run, tmp_path):
    run()
    text = DOCUMENTATION.read_text(encoding="utf-8")
    names = {name for line in metrics(tmp_path / "run") for name in line} - {"count_loss"}
    assert {name for name in names if f"`{name}`" not in text} == set()


class TellingEnv(CountingEnv):
    """Says how many steps an episode had and which it was."""

    def step(self, action):
        row = super().step(action)
        told = {"log_steps": np.float32(self._count), "log_number": np.float32(self._episode)}
        return row | told if row["is_last"] else row


@pytest.mark.parametrize("count", [1, 3])
def test_what_environments_tell_is_logged_with_their_episodes(run, tmp_path, count):
    run(env=lambda: TellingEnv(10), **{"env.count": count, "run.eval_episodes": 2})
    lines = metrics(tmp_path / "run")
    episodes = [line for line in lines if "train/return" in line]
    told = [(line["train/log_steps"], line["train/log_number"]) for line in episodes]
    numbers = range(1, len(episodes) // count + 1)
    assert told == [(10, number) for number in numbers for _ in range(count)]
    evaluations = [line for line in lines if "eval/return" in line]
    assert {line["eval/log_steps"] for line in evaluations} == {10}
    assert [line["eval/log_number"] for line in evaluations] == [1.5, 3.5]
    assert not {key for key in replayed(tmp_path / "run") if key.startswith("log_")}


class Kept(Writer):
    """Keeps what a run hands to it."""

    def __init__(self, folder):
        self.folder = folder
        self.lines, self.videos, self.calls = [], [], []

    def write(self, env_frames, scalars):
        self.lines.append({"step": env_frames, **scalars})

    def video(self, env_frames, name, frames, fps):
        self.videos.append((env_frames, name, frames.shape, frames.dtype, fps))

    def flush(self):
        self.calls.append("flush")

    def close(self):
        self.calls.append("close")


def keeping(made):
    """Function that makes a `Kept` and adds it to a list."""

    def make(folder):
        made.append(Kept(folder))
        return made[-1]

    return make


def test_videos_and_metrics_go_to_the_folder_and_to_a_writer_of_the_callers(run, tmp_path):
    made = []
    options = {"run.video_every": 40, "writers": [keeping(made)]}
    run(env=lambda: CountingEnv(10, image=True), **options)
    names = sorted(path.name for path in (tmp_path / "run" / "videos").iterdir())
    assert names == [
        *("000000040-eval.mp4", "000000040-openloop-count.gif"),
        *("000000080-eval.mp4", "000000080-openloop-count.gif"),
    ]
    lines = metrics(tmp_path / "run")
    assert {line.get("openloop_mse") for line in lines} == {None, 0.5}
    [kept] = made
    assert kept.folder == tmp_path / "run"
    assert kept.lines == lines
    byte = np.dtype(np.uint8)
    film, prediction = (11, 64, 64, 3), (6, 8, 3 * 8, 1)
    assert kept.videos == [
        video
        for frames in (40, 80)
        for video in (
            (frames, "eval", film, byte, 30),
            (frames, "openloop/count", prediction, byte, 10),
        )
    ]
    # After each of two evaluations and five intervals.
    assert kept.calls == ["flush"] * 7 + ["close"]


@pytest.mark.parametrize(("every", "filmed"), [(10_000, ["000000080-eval.mp4"]), (0, [])])
def test_the_last_evaluation_is_filmed_unless_nothing_is(run, tmp_path, every, filmed):
    run(env=lambda: CountingEnv(10, image=True), **{"run.video_every": every})
    videos = tmp_path / "run" / "videos"
    assert [path.name for path in videos.glob("*")] == filmed
    # The clock has not counted it: a run that goes on is the same as one that was asked for more.
    assert newest_state(tmp_path / "run")["clocks"]["video"] == {"last": 0}


class Broken(Kept):
    """Fails from the second line on."""

    def write(self, env_frames, scalars):
        super().write(env_frames, scalars)
        scalars.clear()
        if len(self.lines) > 1:
            raise ConnectionError("nobody there")


def test_a_run_does_not_end_for_a_writer_of_the_callers(run, tmp_path, capsys):
    made = []

    def broken(folder):
        made.append(Broken(folder))
        return made[-1]

    class Wordless:
        """A writer with nothing of one."""

        def __init__(self, folder):
            pass

    run(steps=60, writers=[broken, Kept("an object"), Wordless, keeping(made)])
    shown = capsys.readouterr().out
    failed = [line for line in shown.splitlines() if line.startswith("the writer")]
    assert failed == [
        "the writer Kept failed (TypeError: 'Kept' object is not callable); "
        "the run goes on without it",
        "the writer Wordless failed (AttributeError: 'Wordless' object has no attribute 'write'); "
        "the run goes on without it",
        "the writer broken failed (ConnectionError: nobody there); the run goes on without it",
    ]
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 60
    first, last = made
    assert len(first.lines) == 2 and first.calls == ["close"] and first.failed
    assert last.lines == metrics(tmp_path / "run") and last.calls[-1] == "close"
    assert not last.failed


def test_writers_of_the_callers_know_that_an_error_ends_the_run(run):
    made = []
    with pytest.raises(ValueError, match="enough"):
        run(writers=[keeping(made)], stop=lambda _: int("enough"))
    assert made[0].failed and made[0].calls[-1] == "close"


def test_an_environment_that_draws_nothing_is_evaluated_without_a_video(run, tmp_path, caplog):
    class Blind(CountingEnv):
        def render(self):
            raise ModuleNotFoundError("No module named 'pygame'")

    run(env=lambda: Blind(10))
    evaluation = dreamer_tf.evaluate(
        tmp_path / "run", 2, env=lambda: Blind(10), video=tmp_path / "film.mp4"
    )
    assert evaluation.returns == [55.0] * 2
    assert evaluation.video is None and not (tmp_path / "film.mp4").exists()
    assert "no video, because the environment draws no picture" in caplog.text
    assert "pygame" in caplog.text


def test_changed_options_are_shown_and_kept(run, tmp_path, capsys):
    run(steps=40)
    run(steps=60, **{"run.train_updates": 3})
    shown = capsys.readouterr().out
    assert "changed since the last start: run.train_updates from 1.5 to 3.0" in shown
    assert "changed since the last start: steps from 40 to 60" in shown
    assert "run.log_every" not in shown


def too_large(batch):
    raise MemoryError("too large")


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (too_large, "MemoryError: too large"),
        (lambda batch: {"mse": np.zeros(2)}, "TypeError: "),
        (lambda batch: {"openloop/count": np.zeros(3, np.uint8)}, "ValueError: zero-dim"),
        (lambda batch: {"mse": np.nan, "fine": 0.5}, None),
    ],
)
def test_predictions_that_fail_are_told_and_end_nothing(
    run, agents, tmp_path, capsys, report, told
):
    class Short(CountingAgent):
        def report(self, batch):
            return report(batch)

    agents.make.kind = Short
    run(**{"run.video_every": 40})
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 100
    assert capsys.readouterr().out.count(f"no predictions ({told}") == bool(told)
    lines = [line for line in metrics(tmp_path / "run") if "eval/return" in line]
    assert [line["step"] for line in lines] == [40, 80]
    assert {line.get("fine") for line in lines} == {None if told else 0.5}
    assert not any("mse" in line for line in lines)


def test_left_waits_for_learning_and_presets_that_do_not_fit_are_told(run, tmp_path, capsys):
    presets = ["size12m"]
    run(configs=presets, steps=160)
    shown = capsys.readouterr().out.splitlines()
    assert any("note: the preset size12m is for dreamerv3" in line for line in shown)
    start = shown.index("learning starts, with 2 updates at once")
    left = [line.rpartition("left ")[2] for line in shown[:start] if " left " in line]
    assert left == ["?"]  # By random actions.
    [measured] = [index for index, line in enumerate(shown) if line.startswith("measured over")]
    assert "left of this run in" in shown[measured]
    after = [line.rpartition("left ")[2] for line in shown[measured + 1 :] if "  left " in line]
    assert len(after) > 2 and all(text.startswith("0:00:") for text in after)


def test_a_run_on_a_gpu_names_it_and_what_makes_it_quicker(run, monkeypatch, capsys):
    advice = "--jit true may make updates several times as quick on a GPU, once compiled\n"
    run(steps=40)
    shown = capsys.readouterr().out
    assert "device CPU, precision" in shown and advice not in shown
    # As TensorFlow 2.21 names an H100; what a run computes does not ask for this list.
    gpu = tf.config.LogicalDevice("/device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: [gpu])
    run(steps=50)
    shown = capsys.readouterr().out
    assert "device GPU:0, precision" in shown and advice in shown
