"""Playing whole episodes to measure an agent, and filming them: nothing is learned or stored."""

import logging
import statistics

import numpy as np

from dreamer_tf.envs import EnvAbandoned, EnvDied, EnvError
from dreamer_tf.training.driver import Driver, EpisodeStatistics

_LOGGER = logging.getLogger(__name__)
_MOST_CRASHES = 10  # Beyond one for each episode: then the environment is not fit to evaluate in.
_MOST_PICTURES, _MOST_BYTES = 2000, 2**29  # Of a film, which is made in memory.


class NoPictureError(RuntimeError):
    """An environment that should be filmed drew no picture."""


class Played(list):
    """The episodes of an evaluation, and what there is to say about them.

    Attributes:
      crashed: Episodes that are not among them, because the environment died in them.
      limited: How many of them are not whole, because they did not end.
    """

    def __init__(self, episodes=(), crashed=0, limited=0):
        super().__init__(episodes)
        self.crashed = crashed
        self.limited = limited

    def remarks(self, limit):
        """What a reader of the returns must know, as sentences.

        Args:
          limit: The ``limit`` that was given.
        """
        if self.limited:
            yield (
                f"evaluation: {self.limited} of {len(self)} episodes had not ended after "
                f"{limit:,} frames and count as they were; run.eval_limit is that bound, and "
                f"env.time_limit ends episodes in training, too"
            )
        if self.crashed:
            instead = (
                "others were played instead" if self else "none was whole, so there is no return"
            )
            yield (
                f"evaluation: the environment died in {self.crashed} episodes, which do not count; "
                f"{instead}"
            )


def play_episodes(envs, policy, count, *, limit=0, recorder=None, stopped=lambda: False):
    """Plays episodes from their beginning.

    With several environments each plays its fixed share, so that short episodes do not count for
    more than long ones. Where the environment dies, its next episode is played instead. If the
    recorder gets no picture, the same episodes are played again, filmed otherwise or not at all.

    Args:
      envs: `dreamer_tf.envs.VectorEnv`; every environment begins a new episode.
      policy: Function of (observations, state) to (actions, state).
      count: Number of episodes.
      limit: env_frames after which the end of an episode is not waited for; 0: it is.
      recorder: `Recorder` or None.
      stopped: Function without arguments; when it returns true, playing ends at once.

    Returns:
      `Played` with ``count`` `Episode`, fewer if the environment dies too often; None if stopped.
    """
    begun = envs.episodes
    while recorder is not None and not recorder.failed:
        try:
            return _play(envs, policy, count, limit, recorder, stopped)
        except NoPictureError as error:
            reason = (str(error).strip().splitlines() or ["it does not say why"])[-1]
            instead = recorder.use_seen() or "no video"
            _LOGGER.warning("%s, because the environment draws no picture: %s", instead, reason)
            envs.restore(begun)
    return _play(envs, policy, count, limit, None, stopped)


def _play(envs, policy, count, limit, recorder, stopped):
    shares = [count // len(envs) + (i < count % len(envs)) for i in range(len(envs))]
    played = [[] for _ in shares]
    outcome = Played()

    def keep(episode):
        if not envs.died[episode.stream]:
            played[episode.stream].append(episode)
            return
        outcome.crashed += len(played[episode.stream]) < shares[episode.stream]
        if recorder is not None:
            recorder.film_again(episode.stream)

    add = EpisodeStatistics(keep)
    driver = Driver(envs, [add] if recorder is None else [recorder, add])
    longest = -(-limit // envs.frames_per_step)
    while any(len(mine) < share for mine, share in zip(played, shares, strict=True)):
        if stopped():
            return None
        driver.step(policy)
        if outcome.crashed > count + _MOST_CRASHES:
            break
        for stream in range(len(envs)):
            if longest and add.running(stream) >= longest:
                outcome.limited += len(played[stream]) < shares[stream]
                add.end(stream)
                driver.begin_anew(stream)
    outcome += [e for mine, share in zip(played, shares, strict=True) for e in mine[:share]]
    return outcome


def summarize(episodes, frames_per_step):
    """Metrics of an evaluation: mean and deviation of returns, mean length, means of the log.

    Args:
      episodes: `Played`.
      frames_per_step: Simulator steps per agent step.
    """
    counts = {"eval/crashed": episodes.crashed, "eval/limited": episodes.limited}
    counts = {key: value for key, value in counts.items() if value}
    if not episodes:
        return counts
    scores = [episode.score for episode in episodes]
    lengths = [episode.length * frames_per_step for episode in episodes]
    keys = sorted({key for episode in episodes for key in episode.log})
    logged = {key: [e.log[key] for e in episodes if key in e.log] for key in keys}
    return {
        "eval/return": statistics.fmean(scores),
        "eval/return_std": statistics.pstdev(scores),
        "eval/length": statistics.fmean(lengths),
        **{f"eval/{key}": statistics.fmean(values) for key, values in logged.items()},
        **counts,
    }


class Evaluator:
    """Evaluates an agent again and again in environments of its own.

    They are started at the first evaluation, if not before, and kept. Each evaluation plays other
    episodes than the one before; which ones, does not depend on restarts.
    """

    def __init__(self, make_envs, count, episodes, limit=0):
        """Makes no environments yet.

        Args:
          make_envs: Function without arguments that returns a `VectorEnv`.
          count: Environments that ``make_envs`` makes.
          episodes: Episodes of an evaluation.
          limit: env_frames after which the end of an episode is not waited for; 0: it is.
        """
        self._limit = limit
        self._draws = self._films = True
        self._make_envs = make_envs
        self._envs = None
        self._begun = [0] * count
        self._episodes = episodes

    def start(self):
        """Starts the environments, unless they are; returns the `VectorEnv`."""
        if self._envs is None:
            self._envs = self._make_envs()
        return self._envs

    def play(self, policy, make_recorder, stopped):
        """Plays an evaluation.

        Args:
          policy: Function of (observations, state) to (actions, state).
          make_recorder: Function of the environments, and of whether they could be drawn so far,
            that returns a recorder or None.
          stopped: Function without arguments that tells to give up.

        Returns:
          Dict of metrics, the recorder, and remarks about the evaluation as sentences; None if
          stopped.
        """
        try:
            self.start()
            self._envs.restore(fit(self._begun, len(self._envs)))
            # Each attempt to draw may cost a worker; a package that is missing stays so.
            recorder = make_recorder(self._envs, self._draws) if self._films else None
            episodes = play_episodes(
                *(self._envs, policy, self._episodes),
                limit=self._limit,
                recorder=recorder,
                stopped=stopped,
            )
        except EnvAbandoned:
            return None
        self._draws = self._draws and not (recorder and (recorder.failed or recorder.used_seen))
        self._films = self._films and not (recorder and recorder.failed)
        if episodes is None:
            return None
        self._begun = self._envs.episodes.tolist()
        metrics = summarize(episodes, self._envs.frames_per_step)
        return metrics, recorder, list(episodes.remarks(self._limit))

    def state(self):
        """What `restore` needs, as JSON values."""
        return {"episodes": self._begun}

    def restore(self, state):
        """Continues with the episodes after those of an earlier run."""
        self._begun = list(state["episodes"])  # Vectorised ones are as many as they are.

    def close(self):
        """Closes the environments."""
        if self._envs is not None:
            self._envs.close()


class Recorder:
    """Keeps the pictures of the first episode of one environment; a callback of the driver.

    Of a long episode it keeps every second one, every fourth, and so on, evenly to its end.
    """

    def __init__(self, picture, stream=0, seen=None):
        """Begins without pictures.

        Args:
          picture: Function of a row that returns uint8 ``[height, width, channels]``.
          stream: Index of the environment.
          seen: Such a function that needs no drawing, to use where that fails.
        """
        self._picture = picture
        self._seen = seen
        self.used_seen = False
        self._stream = stream
        self._over = False
        self._filmed = False  # Another episode began since.
        self._rows = 0
        self._every = 1
        self.frames = []
        """Pictures so far, uint8 ``[height, width, channels]``; empty without any."""
        self.failed = False
        """Whether a picture could not be drawn, so that there is no film."""

    def __call__(self, row, stream):
        """Takes in one row.

        Raises:
          NoPictureError: If there is no picture of it.
        """
        if stream == self._stream and self.frames and row.get("is_first"):
            self._filmed = True
        if stream != self._stream or self._filmed or self._over:
            return
        self._over = bool(row["is_last"])
        self._rows += 1
        if (self._rows - 1) % self._every:
            return
        try:
            self.frames.append(np.array(self._picture(row)))
        except (EnvDied, EnvError) as error:
            raise NoPictureError(str(error)) from error
        if len(self.frames) >= max(2, min(_MOST_PICTURES, _MOST_BYTES // self.frames[0].nbytes)):
            self.frames = self.frames[::2]
            self._every *= 2

    def film_again(self, stream):
        """Films the next episode instead, if this stream's present one is filmed."""
        if stream == self._stream and not self._filmed:
            self._begin()

    def use_seen(self):
        """Begins anew with what the agent sees, and says so; where it sees nothing, fails: ""."""
        self._begin()
        if self._seen is None:
            self.failed = True
            return ""
        self._picture, self._seen, self.used_seen = self._seen, None, True
        return "a video of what the agent sees"

    def _begin(self):
        self.frames, self._over, self._rows, self._every = [], False, 0, 1


def make_recorder(envs, *, can_render):
    """A recorder for the first environment: of pictures that it renders, or else of its images.

    What it renders is for people to look at, and mostly larger than what an agent sees.

    Args:
      envs: `dreamer_tf.envs.VectorEnv`.
      can_render: Whether it may be asked to render.

    Returns:
      A `Recorder`, or None if there is nothing to film.
    """
    keys = sorted(key for key, space in envs.obs_space.items() if space.is_image)
    key = "image" if "image" in keys else next(iter(keys), None)
    if not can_render:
        return Recorder(lambda row: row[key]) if keys else None
    if not keys:
        return Recorder(lambda row: envs.render(0))
    return Recorder(_RenderedOrSeen(envs, key), seen=lambda row: row[key])


class _RenderedOrSeen:
    """Pictures that an environment renders; those that the agent sees if there are none larger."""

    def __init__(self, envs, key):
        self._envs = envs
        self._key = key
        self._rendered = None  # Not known before the first picture.

    def __call__(self, row):
        if self._rendered is None:
            self._rendered = self._is_better(row[self._key])
        return self._envs.render(0) if self._rendered else row[self._key]

    def _is_better(self, seen):
        try:
            rendered = self._envs.render(0)
        except EnvError:
            return False
        return rendered.shape[0] * rendered.shape[1] > seen.shape[0] * seen.shape[1]


def fit(episodes, count):
    """Episode numbers for another number of environments: new ones begin at zero."""
    return (list(episodes) + [0] * count)[:count]
