"""The training loop: seed episodes, then acting and learning in turns.

::

    prefill            learning starts       until ``steps``
    random seed    →   pretrain          →   act until updates are due  →  block of updates  ─┐
    episodes                             ↑   evaluation, log line, checkpoint when due        │
                                         └────────────────────────────────────────────────────┘

Acting and learning never overlap, and what happens depends only on the counters: this is what
makes a run repeatable (`overlap.py` gives that up). A checkpoint is made between two steps and
holds all that the next one depends on, so that a continued run is equal to one that was never
interrupted; `resuming.py` says where it is not.
"""

import dataclasses
import functools
import logging
import math

from dreamer_tf.envs import EnvAbandoned
from dreamer_tf.runs.forecast import Forecast, Pretraining
from dreamer_tf.runs.metrics import Interval
from dreamer_tf.runs.videos import beside
from dreamer_tf.training.driver import Driver, EpisodeStatistics, HandOver, training_policy
from dreamer_tf.training.evaluation import fit, make_recorder
from dreamer_tf.training.hosts import ReplicaLostError
from dreamer_tf.training.introduction import nothing_learned
from dreamer_tf.training.pace import Due, Every, Seconds, updates_per_block
from dreamer_tf.training.resuming import from_json, to_json
from dreamer_tf.training.storing import Storing

_LOGGER = logging.getLogger(__name__)
_PREDICTIONS_SHOWN = 6
_EVALUATION_FPS, _PREDICTION_FPS = 30, 10


class Trainer:
    """Runs the loop."""

    def __init__(self, parts):
        """Takes the parts.

        Args:
          parts: What the run is made of.
        """
        config, run = parts.config, parts.config.run
        self._parts = parts
        self._counters = parts.counters
        updates = updates_per_block(config, parts.envs.frames_per_step)
        self._due = Due(run.train_every, updates, start=run.prefill)
        self._clocks = {
            "eval": Every(run.eval_every),
            "video": Every(run.video_every),
            "log": Every(run.log_every),
        }
        self._save_clock = Seconds(run.checkpoint_every)
        # An agent without weights has nothing to learn.
        self._learns = bool(parts.agent.parameter_counts())
        self._learning = False
        self._restored = None
        self._pending = 0
        self._ended = []
        self._statistics = EpisodeStatistics(self._ended.append)
        keepers = [self._keep, self._statistics]
        self._driver = Driver(parts.envs, keepers, carry=parts.replay.carry_space)
        self._told = set()
        self._store = Storing(run.disk_patience, parts.log.terminal.message, self._stopped)
        self._seeding = True
        self._policy = HandOver(
            self._play_randomly, training_policy(parts.acting, parts.replay), len(parts.envs)
        )
        self._forecast = Forecast(parts.counters, parts.stopwatch, config.steps)
        self._pretraining = ""
        if self._learns and updates:
            parts.log.terminal.left.hide()  # Random actions say nothing about learning.
        self._interval = Interval(
            parts.counters,
            parts.stopwatch,
            parts.learner,
            parts.replay,
            config.replay.batch_size * config.replay.batch_length,
        )

    @property
    def as_told(self):
        """The run as callbacks see it."""
        return self._parts.run

    # -------------------------------------------------------------- continuing

    def state(self):
        """What continues a run besides the weights, as JSON values."""
        return {
            **self._progress(),
            "replay": self._parts.replay.state(),
            "ongoing": self._ongoing(),
            "evaluator": self._parts.evaluator.state(),
            "due_updates": self._due.state(),
            "best_score": self._parts.log.best_score,
        }

    def _progress(self):
        """The part of `state` that another is known by, whatever was done in between."""
        return {
            "counters": dataclasses.asdict(self._counters),
            "envs": self._parts.envs.episodes.tolist(),
            "learning": self._learning,
            "pending_updates": self._pending,
            "clocks": {name: clock.state() for name, clock in self._clocks.items()},
        }

    def _ongoing(self):
        """Where the episodes stand that are being played."""
        replay = self._parts.replay
        return {
            "episodes": [[stream, *where] for stream, where in replay.ongoing().items()],
            "stored": replay.stored,
            "hand_over": self._policy.state(),
            "policy": to_json(self._driver.policy_state),
            "statistics": self._statistics.state(),
        }

    def restore(self, state, rows, ahead):
        """Continues an earlier run; counters and replay are those of this run already.

        Args:
          state: What `state` returned then; None if there was no checkpoint.
          rows: What `resume` returned, the rows where environments stand within episodes.
          ahead: Agent steps that the replay holds beyond the checkpoint.
        """
        begun = []
        if state is not None:
            self._restored = {key: state[key] for key in self._progress()}
            self._parts.evaluator.restore(state["evaluator"])
            self._learning = state["learning"]
            self._pending = state["pending_updates"]
            self._due.restore(state["due_updates"])
            if not state["envs"]:  # It learned without acting, from all that was recorded.
                frames = max(self._counters.env_frames, self._parts.config.run.prefill)
                self._due.restart(frames)
            for name, clock in self._clocks.items():
                clock.restore(state["clocks"][name])
            begun = state["envs"]
            if "ongoing" in state and len(begun) == len(self._parts.envs):
                self._resume(state["ongoing"], rows)
        if rows:
            return
        # Episodes stored after the checkpoint are not played again: each has at least one step,
        # so counting one for every step ahead passes over all of them.
        begun = fit(begun, len(self._parts.envs))
        self._parts.envs.restore([count + ahead for count in begun])

    def _resume(self, ongoing, rows):
        """Goes on where the policy was, and within the episodes that were taken up."""
        self._statistics.restore(ongoing["statistics"], rows)
        if self._counters.env_frames >= self._parts.config.run.prefill:
            self._policy.restore(ongoing["hand_over"])
            self._seeding = not self._policy.has_begun
        if rows:
            agents = self._parts.random_agent, self._parts.agent
            states = from_json(ongoing["policy"], *agents, len(self._parts.envs))
            self._driver.resume(rows, states)

    # ----------------------------------------------------------------- running

    def run(self):
        """Trains until ``steps`` env_frames are collected or a stop is requested, then saves.

        Raises:
          NonFiniteError: If too many updates in a row were skipped.
          OSError, CheckpointError: If nothing can be stored, nor after ``run.disk_patience``.
          EnvError: If an environment returns what its spaces do not allow.
          ReplicaLostError: If another host that learned along is gone; nothing is saved then.
        """
        if self._counters.env_frames >= self._parts.config.run.prefill:
            self._end_seeding()
        if self._seeding and self._learns:
            self._parts.learner.trace_ahead()
        updates = self._counters.grad_steps
        self._parts.run.tell("on_start")  # Nothing happened yet that an error could lose.
        try:
            if self._restored and not self._restored["envs"] and len(self._parts.envs):
                self._save()  # It learned without acting, and its frames were updates so far.
            self._play_and_learn()
            self._parts.run.deadline = math.inf  # What follows is not part of its time.
            if self._learns and not self._stopped() and self._counters.grad_steps == updates:
                self._tell_that_nothing_was_learned()
            if not self._interval.is_empty:
                self._write_interval()
        except ReplicaLostError:
            raise  # Within an update: the weights are not to be saved.
        except BaseException as error:  # Also an environment that calls sys.exit.
            self._save_in_spite_of(error)
            raise
        if self._progress() != self._restored:  # Else there was nothing to do, and it is saved.
            self._save()
        if self._parts.run.stopped and self._counters.env_frames < self._parts.config.steps:
            self._parts.log.terminal.message(f"stopped, as {self._parts.run.stopped}")

    def _play_and_learn(self):
        while True:
            self._catch_up()
            if self._stopped() or self._counters.env_frames >= self._parts.config.steps:
                break
            self._act()

    def _save_in_spite_of(self, error):
        """Saves what there is before an error ends the run, which no second error may hide."""
        name = type(error).__name__
        try:
            self._cut()
            self._write_checkpoint()
        except Exception as second:
            _LOGGER.warning(
                "the run ends for %s, and could not be saved before (%s: %s)",
                *(name, type(second).__name__, second),
            )
        else:
            self._parts.log.terminal.message(
                f"saved at {self._counters.env_frames:,} frames, before {name} ends the run"
            )

    def _keep(self, row, stream):
        self._store(lambda: self._parts.replay.add(row, stream), self._parts.replay.flush)

    def _cut(self):
        self._store(self._parts.replay.cut, self._parts.replay.flush)
        self._counters.episodes = max(self._counters.episodes, self._parts.replay.stored)

    def _stopped(self):
        return self._parts.stop.requested is not None or self._parts.run.stopped is not None

    def _catch_up(self):
        """Does everything that is due at this frame."""
        frames = self._counters.env_frames
        if self._learns and not self._seeding and self._is_ready():
            self._learn()
        if self._clocks["eval"].due(frames) and not self._stopped():
            self._evaluate()
        if self._clocks["log"].due(frames):
            self._write_interval()
            self._clocks["log"].mark(frames)
        if self._save_clock.due():
            self._save()

    def _is_ready(self):
        # With a train ratio learning begins as in DreamerV3's code, where the replay holds as many
        # rows as a batch. Once begun it only needs something to draw.
        ratio = bool(self._parts.config.run.train_ratio)
        return self._parts.learner.is_ready(whole_batch=ratio and not self._learning)

    def _act(self):
        try:
            with self._parts.stopwatch.section("acting"):
                steps = self._driver.step(self._policy)
        except EnvAbandoned as error:  # A stop was requested; all but the draws is as before it.
            self._tell_once(f"{error}; its step is given up")
            return
        self._counters.acted(steps, self._parts.envs.frames_per_step)
        died = self._parts.envs.died
        for episode in self._ended:
            self._write_episode(episode, died[episode.stream])
        self._ended.clear()
        self._show("random actions" if self._seeding else "acting")
        if self._seeding and self._counters.env_frames >= self._parts.config.run.prefill:
            self._end_seeding()
            if not self._parts.learner.is_ready() and self._learns and not self._statistics.longest:
                self._tell_once(
                    f"no episode has ended in {self._counters.env_frames:,} frames, and there is "
                    f"nothing to learn from before one does: env.time_limit cuts them, and "
                    f"replay.ongoing learns from unfinished ones"
                )

    def _end_seeding(self):
        if self._seeding:
            self._seeding = False
            self._policy.begin(self._patience())

    def _patience(self):
        """Actions that the running random episodes are worth waiting for, per environment.

        As many as the longest one took so far; none where none has ended yet, as it may never.
        """
        longest, count = self._statistics.longest, len(self._parts.envs)
        return [longest - self._statistics.running(stream) for stream in range(count)]

    def _play_randomly(self, obs, state):
        return self._parts.random_agent.policy(obs, state, mode="train")

    def _learn(self):
        if not self._learning:
            self._begin_learning()
        self._pending += self._due.take(self._counters.env_frames)
        self._update()
        forecast = self._forecast.take()
        if forecast:
            self._parts.log.terminal.message(forecast)
            self._parts.log.terminal.left.expect(self._counters.env_frames, self._forecast.speed)

    def _begin_learning(self):
        self._learning = True
        pretrain = self._parts.config.run.pretrain
        self._pending += pretrain
        self._pretraining = Pretraining(self._counters, self._parts.stopwatch, pretrain)
        if self._parts.config.run.train_ratio:
            # As in DreamerV3's code: one update, and the ratio counts from here. The frames
            # before are not caught up with, on the few sequences that there are.
            self._pending += 1
            self._due.restart(self._counters.env_frames)
        first = f", with {pretrain:,} updates at once" if pretrain else ""
        self._parts.log.terminal.message(f"learning starts{first}")

    def _update(self):
        """Makes the updates that are pending."""
        while self._pending and not self._stopped():
            made = self._counters.grad_steps
            try:
                self._parts.learner.update(self._pending, self._interrupt_updates, self._store)
            finally:  # An error does not take back the updates before it.
                self._pending -= self._counters.grad_steps - made
            if self._save_clock.due():
                self._save()

    def _interrupt_updates(self):
        self._show_update()
        return self._stopped() or self._save_clock.due()

    def _evaluate(self):
        frames = self._counters.env_frames
        video = self._clocks["video"].due(frames)
        film = video or self._is_last_evaluation(frames)
        self._show("evaluation")
        draws = self._parts.agent.rng.state.numpy()
        with self._parts.stopwatch.section("evaluation"):
            outcome = self._parts.evaluator.play(
                functools.partial(self._parts.agent.policy, mode="eval"),
                self._make_recorder if film else lambda envs, draws: None,
                self._stopped,
            )
            if outcome is None:
                self._parts.agent.rng.reset(draws)  # The next start evaluates anew.
                return
            metrics, recorder, remarks = outcome
            for remark in remarks:
                self._tell_once(remark)
            if film and recorder is not None and recorder.frames:
                self._parts.log.video(frames, "eval", recorder.frames, _EVALUATION_FPS)
            if video:
                metrics |= self._write_predictions()
                self._clocks["video"].mark(frames)
        self._clocks["eval"].mark(frames)
        self._parts.log.write(frames, metrics)
        self._parts.log.flush()
        score = metrics.get("eval/return")
        best = self._parts.checkpoints.best_score
        if self._parts.config.run.checkpoint_best and score is not None and score > best:
            self._save(score)
        self._parts.run.tell("on_evaluation", metrics)

    # --------------------------------------------------------------- reporting

    def _tell_once(self, text):
        if text not in self._told:
            self._told.add(text)
            self._parts.log.terminal.message(text)

    def _tell_that_nothing_was_learned(self):
        if self._restored and self._restored["counters"] == dataclasses.asdict(self._counters):
            return  # The run was at its end already.
        parts, frames = self._parts, self._counters.env_frames
        told = nothing_learned(parts.config, parts.replay, frames, self._is_ready())
        parts.log.terminal.message(told)

    def _make_recorder(self, envs, draws):
        in_processes = self._parts.config.env.workers != "inline"
        return make_recorder(envs, can_render=in_processes and draws)

    def _is_last_evaluation(self, frames):
        """Whether no other is due before the end, and videos are wanted: it is filmed, too.

        The clock of videos does not count it, so that a run that goes on further is the same.
        """
        run = self._parts.config.run
        return (
            bool(run.video_every) and self._clocks["eval"].next(frames) > self._parts.config.steps
        )

    def _write_predictions(self):
        """Writes videos of the agent's predictions; returns its finite scalars."""
        log, frames = self._parts.log, self._counters.env_frames
        if not self._learning:
            return {}
        try:
            report = self._parts.agent.report(self._parts.learner.draw())
            names = [key for key in report if key.startswith("openloop/")]
            videos = {key: beside(report[key], _PREDICTIONS_SHOWN) for key in names}
            scalars = {key: float(report[key]) for key in report if key not in videos}
        except Exception as error:  # They are something to look at, as the film is.
            _LOGGER.debug("the predictions failed", exc_info=True)
            self._tell_once(f"no predictions ({type(error).__name__}: {error}); the run goes on")
            return {}
        for key, video in videos.items():
            log.video(frames, key, video, _PREDICTION_FPS)
        return {key: value for key, value in scalars.items() if math.isfinite(value)}

    def _show_update(self):
        self._show(str(self._pretraining) or f"update {self._counters.grad_steps:,}")

    def _show(self, activity):
        self._parts.log.terminal.advance(self._counters.env_frames, activity)

    def _write_episode(self, episode, died):
        self._counters.episodes += 1
        length = episode.length * self._parts.envs.frames_per_step
        metrics = {"train/return": episode.score, "train/length": length}
        if died:  # What the episode would have brought is not known.
            metrics = {"train/crashed": length}
        metrics |= {f"train/{key}": value for key, value in episode.log.items()}
        self._parts.log.write(self._counters.env_frames, metrics)
        self._parts.run.tell("on_episode", metrics)

    def _write_interval(self):
        metrics = self._take_interval()
        self._parts.log.write(self._counters.env_frames, metrics)
        self._parts.log.flush()
        self._parts.run.tell("on_interval", metrics)

    def _take_interval(self):
        """What the line of a log interval shows."""
        return self._interval.take() | self._parts.replay.ongoing_size()

    def _save(self, score=None):
        self._parts.run.tell("on_checkpoint", self._write_checkpoint(score))

    def _write_checkpoint(self, score=None):
        def save():
            self._parts.replay.store_ongoing()
            return self._parts.checkpoints.save(
                self.state(),
                env_frames=self._counters.env_frames,
                grad_steps=self._counters.grad_steps,
                score=score,
            )

        with self._parts.stopwatch.section("saving"):
            path = self._store(save)
        self._save_clock.mark()
        return path
