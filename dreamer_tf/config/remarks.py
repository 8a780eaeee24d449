"""What is hardly meant: options of another agent; presets of another one, undone, or in vain."""

from dreamer_tf.config.options import options
from dreamer_tf.config.resolve import ARGUMENT, COMMAND_LINE, Resolved
from dreamer_tf.config.schema import Config

AGENTS = frozenset(options()["agent"].choices or ())
_GENERAL = ("env.", "run.", "replay.")
_SHOWN = 3


def remarks(given: Resolved, config: Config, is_new: bool = True) -> list[str]:
    """What should be said about what a run was given. Files of one's own are taken as meant.

    Args:
        given: Presets and options, as they were given now.
        config: What came of them, with all other options.
        is_new: Whether the run begins; one that goes on has further options, from before.

    Returns:
        Sentences; mostly none.
    """
    unread = unread_options(given, config.agent)
    found = [unread] if unread else []
    presets, names = given.presets, list(given.presets)
    for place, name in enumerate(names):
        values = presets[name]
        is_part, agents = "agent" not in values, _agents(values)
        is_whole = not is_part and any(key.startswith(_GENERAL) for key in values)
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
        elif is_whole or (not is_part and config.agent == values["agent"]):
            for earlier in names[:place]:
                undone = _differing(presets[earlier], values)
                if "agent" in undone and not is_whole:
                    found.append(_of_another_agent(earlier, presets[earlier], config.agent))
                elif undone:
                    found.append(_undone(earlier, name, undone))
    return found


def unread_options(given: Resolved, agent: str) -> str:
    """What should be said about options that were given one by one and are another agent's.

    Args:
        given: Options, as they were given now.
        agent: Which agent learns. A class of one's own has the options of the one that it derives
            from: from which, is not known here.

    Returns:
        A sentence; empty: there are none.
    """
    origins = given.origins.items()
    keys = [key for key, origin in origins if origin in (ARGUMENT, COMMAND_LINE)]
    keys = [key for key in keys if _agents([key]) - {agent}]
    if agent not in AGENTS or not keys:
        return ""
    own = [f"{agent}.{key.partition('.')[2]}" for key in keys]
    near = list(dict.fromkeys(key for key in own if key in options()))
    hint = f"; did you mean {_listed(near)}?" if near else ""
    return f"the agent {agent} does not read {_listed(keys)}{hint}"


def _agents(keys):
    """The agents whose options are among some."""
    return {key.partition(".")[0] for key in keys} & AGENTS


def _listed(keys):
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _of_another_agent(name, values, agent):
    others = [key for key in values if key != "agent" and not _agents([key])]
    rest = f"only its {len(others)} general options count" if others else "it changes nothing here"
    agents = values.get("agent") or " and ".join(sorted(_agents(values)))
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
    return (
        f"the preset {later} undoes {_listed(keys)} of {earlier}, which stands before it: presets "
        f"apply from left to right, so that {later} goes first"
    )
