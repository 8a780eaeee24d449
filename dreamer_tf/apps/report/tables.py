"""Tables over runs: settings and what differs, packages and machines."""

import dataclasses

from dreamer_tf.apps.figures.settings import is_of_another
from dreamer_tf.config.options import options, text

_NOT_COMPARED = ("logdir",)
_NONE = "–"


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of a table.

    Attributes:
      name: What it is about.
      values: Its value in each run, as text; a dash where a run has none, or does not read it.
      differs: Whether those that have one have different ones: the runs of an older version lack
        options.
      default: The value that the schema has now; None if it knows no such option.
      meaning: What it means; empty if unknown.
    """

    name: str
    values: tuple[str, ...]
    differs: bool
    default: str | None = None
    meaning: str = ""

    @property
    def is_changed(self):
        """Whether a run has another value than the default."""
        known = self.default is not None and self.name not in _NOT_COMPARED
        return known and any(value not in (self.default, _NONE) for value in self.values)


def settings(runs):
    """The options that runs read, in the order of the schema; those that it does not know last.

    Every config holds the options of all agents; those of others than its own say nothing of a run.
    """
    known = options()
    names = dict.fromkeys([*known, *(name for run in runs for name in run.settings)])
    rows = []
    for name in names:
        values = tuple(_value(run, name) for run in runs)
        if set(values) == {_NONE}:
            continue
        option = known.get(name)
        rows.append(
            Row(
                name,
                values,
                differs=_differ(values) and name not in _NOT_COMPARED,
                default=None if option is None else text(option.default),
                meaning="" if option is None else option.text,
            )
        )
    return rows


def environment(runs):
    """What the newest start of each run tells of its program and machine."""
    described = [_describe(run.starts[-1]) if run.starts else {} for run in runs]
    names = dict.fromkeys(name for description in described for name in description)
    rows = []
    for name in names:
        values = tuple(description.get(name) or _NONE for description in described)
        rows.append(Row(name, values, differs=_differ(values)))
    return rows


def _differ(values):
    return len(set(values) - {_NONE}) > 1


def _value(run, name):
    if is_of_another(run.agent, name) or name not in run.settings:
        return _NONE
    value = run.settings[name]
    return text(tuple(value)) if isinstance(value, list) else text(value)


def _describe(start):
    """Names and values of a start as text; what an older version did not record is left out."""
    machine = start.get("machine") or {}
    named = {
        "started": start.get("time"),
        "command": start.get("command"),
        "commit": start.get("git"),
        "dreamer-tf": start.get("dreamer_tf"),
        "Python": start.get("python"),
        **(start.get("packages") or {}),
        "system": start.get("platform"),
        "processor": machine.get("cpu"),
        "cores": _cores(machine),
        "memory": _gibibytes(machine.get("memory_bytes")),
        "GPU": ", ".join(machine["gpus"]) or "none" if "gpus" in machine else None,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _cores(machine):
    if "cores" not in machine:
        return None
    usable = machine.get("usable_cores", machine["cores"])
    return f"{usable} of {machine['cores']}"


def _gibibytes(count):
    return None if count is None else f"{count / 2**30:.1f} GiB"
