"""Presets that were hardly meant together: of another agent, undone by a later one, or in vain."""

import collections
import typing

from dreamer_tf.config.options import options
from dreamer_tf.config.resolve import load, read_preset
from dreamer_tf.config.schema import Config

_AGENTS = options()["agent"].choices or ()
_SHOWN = 3


def remarks(presets: typing.Sequence[str], config: Config, is_new: bool = True) -> list[str]:
    """What should be said about the presets of a run. Files of one's own are taken as meant.

    Args:
        presets: Names of presets, or paths of YAML files, in the order given.
        config: What came of them, with all other options.
        is_new: Whether the run begins; one that goes on has further options, from before.

    Returns:
        Sentences; mostly none.
    """
    named = {name: read_preset(name) for name in presets if not name.endswith((".yaml", ".yml"))}
    found = []
    for name, values in named.items():
        agents = {group for key in values if (group := key.partition(".")[0]) in _AGENTS}
        is_part = "agent" not in values
        if is_part and agents and config.agent not in agents:
            found.append(_of_another_agent(name, values, agents, config.agent))
        elif is_part and is_new and _is_in_vain(name, presets, config.agent):
            found.append(f"the preset {name} changes nothing here: its values are there without it")
        elif not is_part and any(key.startswith(("env.", "run.", "replay.")) for key in values):
            before = list(named)[: list(named).index(name)]
            for earlier in before:
                undone = [
                    key
                    for key in named[earlier]
                    if values.get(key, named[earlier][key]) != named[earlier][key]
                ]
                if undone:
                    found.append(_undone(earlier, name, undone))
    return found


def _of_another_agent(name, values, agents, agent):
    others = collections.Counter(key.partition(".")[0] in _AGENTS for key in values)[False]
    rest = f"only its {others} general options count" if others else "it changes nothing here"
    return f"the preset {name} is for {' and '.join(sorted(agents))}, the agent is {agent}: {rest}"


def _is_in_vain(name, presets, agent):
    """Whether all that a preset sets for this agent has the same value without it."""
    counts = [
        key
        for key in read_preset(name)
        if (group := key.partition(".")[0]) not in _AGENTS or group == agent
    ]
    others = [preset for preset in presets if preset != name]
    given, without = (load(list(names)).given() for names in (presets, others))
    defaults = {key: option.default for key, option in options().items()}
    return all(given.get(key, defaults[key]) == without.get(key, defaults[key]) for key in counts)


def _undone(earlier, later, keys):
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (
        f"the preset {later} undoes {', '.join(keys[:_SHOWN])}{more} of {earlier}, which stands "
        f"before it: presets apply from left to right, so that {later} goes first"
    )
