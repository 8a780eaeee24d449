"""A search for options: Optuna proposes values, the runs of a sweep say what they are worth.

::

    DIR/search.db              what was tried, and how good it was (Optuna, SQLite)
    DIR/trial0000/<task>/seed<n>   the runs of a trial, as those of any sweep

A trial is worth the mean, over its tasks and seeds, of the last values of the objective. The
options that a search varies are those of ``train``.
"""

import dataclasses
import itertools
import json
import math
import pathlib
import re
import statistics

from dreamer_tf import config as configs
from dreamer_tf.apps.figures.run_folders import metric_values
from dreamer_tf.common.extras import install_hint
from dreamer_tf.config.options import parse, unknown_key

STUDY = "search.db"
LAST_VALUES = 3
"""Of the objective, whose mean a run is worth: evaluations scatter."""

_RANGE = re.compile(r"(?P<low>[^.][^:]*?)\.\.(?P<high>[^:]+)(:(?P<scale>log|linear))?")


@dataclasses.dataclass(frozen=True)
class Searched:
    """An option and the values that it may take.

    Attributes:
      key: Dotted name.
      low: Smallest value of a range.
      high: Largest value.
      log: Whether its logarithm is uniform.
      choices: Values to choose from, in place of a range.
    """

    key: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text):
        """Reads ``key=1e-5..1e-3:log``, ``key=2..8`` or ``key=a|b``.

        Raises:
          ConfigError: If it is none of these, or there is no such option, or a value does not fit.
        """
        key, _, values = text.partition("=")
        known = configs.options()
        if key not in known:
            raise unknown_key(key)
        if "|" in values:
            return cls(key, choices=_fitting(known[key], values.split("|")))
        match = None if isinstance(known[key].kind, tuple) else _RANGE.fullmatch(values)
        try:
            low, high = float(match["low"]), float(match["high"])
        except (TypeError, ValueError) as error:
            raise _unreadable(text) from error
        log = match["scale"] == "log"
        if not low < high or (log and low <= 0):
            raise _unreadable(text)
        _fitting(known[key], [match["low"], match["high"]])
        return cls(key, low, high, log)

    def suggest(self, trial):
        """The value of a trial, as a word of the command line."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if configs.options()[self.key].kind is int:
            number = trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
            return str(number)
        return repr(trial.suggest_float(self.key, self.low, self.high, log=self.log))


def _fitting(option, words):
    """The words, each of which is a value of the option: a trial's runs would refuse any other."""
    for word in words:
        parse(option, [word], "--search")
    return tuple(words)


def _unreadable(text):
    return configs.ConfigError(
        f"--search takes key=low..high, key=low..high:log with low above 0, or key=a|b; "
        f"got {text!r}"
    )


def search(logdir, searched, *, trials, objective, seed, at_once, plan, run, say):
    """Tries values until there are as many finished trials as asked for.

    A trial that was interrupted is gone on with first, with its values and its runs.

    Args:
      logdir: Folder of the search.
      searched: List of `Searched`.
      trials: How many to finish, those of earlier starts included.
      objective: Name of a metric, such as ``eval/return``; the larger, the better.
      seed: Of Optuna's sampler.
      at_once: Trials that run side by side.
      plan: Function of a folder and of words of the command line to a list of `Job`.
      run: Function of a list of `Job`.
      say: Function of a line of text.

    Returns:
      The best trial, ``optuna.trial.FrozenTrial``; None: none is finished.

    Raises:
      ConfigError: If Optuna is not installed, or the folder holds a search for something else.
    """
    basis = [
        " ".join(word for word in job.words if word != str(job.folder))
        for job in plan(pathlib.Path(logdir) / "trial", [])
    ]
    optuna, study = _open(logdir, searched, objective, seed, basis)
    running, failed = optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.FAIL
    for trial in study.trials:
        if trial.state is running and "words" not in trial.user_attrs:
            study.tell(trial.number, state=failed)  # It was interrupted before it had its values.
    while True:
        done = [t for t in study.trials if t.state.is_finished() and "words" in t.user_attrs]
        begun = [t for t in study.trials if t.state is running]
        room = min(at_once, trials - len(done))
        if room <= 0:
            break
        for _ in range(room - len(begun)):
            trial = study.ask()
            trial.set_user_attr("words", _words(searched, trial))
        batch = {
            t.number: plan(pathlib.Path(logdir) / f"trial{t.number:04d}", t.user_attrs["words"])
            for t in study.trials
            if t.state is running
        }
        run([job for jobs in batch.values() for job in jobs if not job.is_finished])
        for number, jobs in batch.items():
            value = worth(jobs, objective)
            study.tell(number, value, state=failed if value is None else None)
            words = " ".join(study.trials[number].user_attrs["words"])
            say(f"trial {number}: {words}  {objective} {'failed' if value is None else value}")
    finished = [t for t in study.trials if t.value is not None]
    return max(finished, key=lambda t: t.value, default=None)


def worth(jobs, objective):
    """Mean over runs of the last values of a metric; None: a run is not finished, or has none."""
    values = []
    for job in jobs:
        if not job.is_finished:
            return None
        found = sum(metric_values(job.folder, objective).values(), start=[])[-LAST_VALUES:]
        if not found or not all(map(math.isfinite, found)):
            return None
        values.append(statistics.mean(found))
    return statistics.mean(values)


def examples(searched):
    """Words of the command line that a trial may have: every choice once, of a range its end."""
    values = {one.key: one.choices or (repr(one.high),) for one in searched}
    for key, choices in values.items():
        for value in choices:
            chosen = {other: words[-1] for other, words in values.items()} | {key: value}
            yield [word for pair in chosen.items() for word in (f"--{pair[0]}", pair[1])]


def _words(searched, trial):
    return [word for one in searched for word in (f"--{one.key}", one.suggest(trial))]


def _open(logdir, searched, objective, seed, basis):
    try:
        import optuna
    except ImportError as error:
        raise configs.ConfigError(
            f"--search needs Optuna ({error}): {install_hint('search')}"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = pathlib.Path(logdir) / STUDY
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path.resolve()}",
        study_name="search",
        direction="maximize",
        load_if_exists=True,
    )
    # With another seed at each start: with the same one it would propose the same values again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    wanted = {"objective": objective, "searched": [dataclasses.asdict(s) for s in searched]}
    wanted = json.loads(json.dumps(wanted | {"runs": basis}))
    # Trials of runs that are longer, or of other tasks, are worth something else.
    for key, earlier in study.user_attrs.get("wanted", {}).items():
        if earlier != wanted[key]:
            now = wanted[key]
            if isinstance(now, list):
                pairs = itertools.zip_longest(earlier, now)
                earlier, now = next((a, b) for a, b in pairs if a != b)
            raise configs.ConfigError(
                f"{path} is a search of other trials ({key}: {earlier}, not {now}); "
                f"choose another --logdir"
            )
    study.set_user_attr("wanted", wanted)
    return optuna, study
