"""Presets hardly meant together: of another agent or suite, undone by a later one, or in vain."""

import typing

from dreamer_tf.config.options import options
from dreamer_tf.config.schema import Config

AGENTS = frozenset(options()["agent"].choices or ())
_SHOWN = 3
_Values = typing.Mapping[str, typing.Any]


def remarks(
    presets: typing.Mapping[str, _Values], config: Config, is_new: bool = True
) -> list[str]:
    """What should be said about the presets of a run. Files of one's own are taken as meant.

    Args:
        presets: The values of each by its name, in the order given, see `Resolved`.
        config: What came of them, with all other options.
        is_new: Whether the run begins; one that goes on has further options, from before.

    Returns:
        Sentences; mostly none.
    """
    found = []
    names = list(presets)
    for place, name in enumerate(names):
        values = presets[name]
        is_part, agents = "agent" not in values, _agents(values)
        if name.endswith((".yaml", ".yml")):
            continue
        if is_part and is_new and "task" not in values and _repeats_elsewhere(values, config):
            found.append(_of_another_suite(name, config))
        if config.agent not in AGENTS and agents:
            continue  # A class of one's own derives from an agent: from which, is not known here.
        if is_part and agents and config.agent not in agents:
            found.append(_of_another_agent(name, values, config.agent))
        elif is_part and is_new and _is_in_vain(name, presets, config.agent):
            found.append(f"the preset {name} changes nothing here: its values are there without it")
        elif not is_part and any(key.startswith(("env.", "run.", "replay.")) for key in values):
            found += [
                _undone(earlier, name, undone)
                for earlier in names[:place]
                if (undone := _differing(presets[earlier], values))
            ]
    return found


def _agents(values):
    """The agents whose options are among some."""
    return {key.partition(".")[0] for key in values} & AGENTS


def _of_another_agent(name, values, agent):
    others = [key for key in values if not _agents([key])]
    rest = f"only its {len(others)} general options count" if others else "it changes nothing here"
    agents = " and ".join(sorted(_agents(values)))
    return f"the preset {name} is for {agents}, the agent is {agent}: {rest}"


def _repeats_elsewhere(values, config):
    """Whether the action repeat is a preset's, chosen for dm_control, and the task is not of it."""
    repeat = values.get("env.action_repeat")
    return repeat == config.env.action_repeat and not config.task.startswith("dmc_")


def _of_another_suite(name, config):
    return (
        f"with the preset {name} an action lasts {config.env.action_repeat} steps, which suits "
        f"dm_control's cartpole, and the task is {config.task}: env.action_repeat 1 decides at "
        f"every step"
    )


def _is_in_vain(name, presets, agent):
    """Whether all that a preset sets for this agent has the same value without it."""
    given, without = ({key: option.default for key, option in options().items()} for _ in "ab")
    for other, values in presets.items():
        given |= values
        without |= values if other != name else {}
    count = [key for key in presets[name] if _agents([key]) <= {agent}]
    return all(given[key] == without[key] for key in count)


def _differing(earlier, later):
    return [key for key in earlier if key in later and later[key] != earlier[key]]


def _undone(earlier, later, keys):
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return (
        f"the preset {later} undoes {', '.join(keys[:_SHOWN])}{more} of {earlier}, which stands "
        f"before it: presets apply from left to right, so that {later} goes first"
    )
