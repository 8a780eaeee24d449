"""From presets and overrides to one config that knows where each value came from."""

import dataclasses
import typing

from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.files import nested_items, read_layers
from dreamer_tf.config.mappings import from_text, words_to_mapping
from dreamer_tf.config.options import (
    build,
    convert,
    flatten,
    options,
    parse,
    text,
    unknown_key,
)
from dreamer_tf.config.schema import EXCLUSIVE, Config

DEFAULT = "default"
COMMAND_LINE = "command line"
ARGUMENT = "argument"


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A config and the origin of every value.

    Attributes:
        config: The values.
        origins: By dotted key: ``default``, ``preset <name>`` (the one whose file holds the
            value), ``command line`` or ``argument`` (given from Python).
    """

    config: Config
    origins: dict[str, str]

    def given(self) -> dict[str, typing.Any]:
        """The values that do not come from the defaults, by dotted key."""
        values = flatten(self.config)
        return {key: values[key] for key, origin in self.origins.items() if origin != DEFAULT}


def load(
    presets: typing.Sequence[str] = (),
    overrides: typing.Mapping[str, typing.Any] | typing.Sequence[str] = (),
) -> Resolved:
    """Applies presets from left to right over the defaults, then the overrides.

    Args:
        presets: Names of presets, or paths of YAML files. Each brings the presets that it builds
            on, right before itself.
        overrides: Values by key, dotted (``{"env.count": 2}``) or nested
            (``{"env": {"count": 2}}``); or words of a command line
            (``["--env.count", "2"]``).

    Returns:
        The config and where its values came from.

    Raises:
        ConfigError: A preset or key does not exist, or a value does not fit.
    """
    if isinstance(presets, str):
        raise ConfigError(f"presets: expected a list of names, got the string {presets!r}.")
    values = {key: option.default for key, option in options().items()}
    origins = dict.fromkeys(values, DEFAULT)
    for origin, layer in (pair for name in presets for pair in _layers(name)):
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    if isinstance(overrides, typing.Mapping):
        layer, origin = _from_mapping(overrides), ARGUMENT
    else:
        layer, origin = _from_words(overrides), COMMAND_LINE
    layer = _without_rivals(layer, origin)
    values |= layer
    origins |= dict.fromkeys(layer, origin)
    return Resolved(build(values), origins)


def add_preset(resolved: Resolved, name: str) -> Resolved:
    """Applies one more preset, beneath the options that were given one by one.

    Args:
        resolved: What was resolved so far.
        name: Name of the preset.

    Returns:
        What `load` returns with the preset as the last one.
    """
    given = {key for key, origin in resolved.origins.items() if origin in (ARGUMENT, COMMAND_LINE)}
    values, origins = flatten(resolved.config), dict(resolved.origins)
    for origin, layer in _layers(name):
        layer = {key: value for key, value in layer.items() if key not in given}
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    return Resolved(build(values), origins)


def _layers(preset):
    """The layers of a preset with their origins, in the order in which they apply."""
    for name, layer in read_layers(preset).items():
        origin = f"preset {name}"
        yield origin, _without_rivals(layer, origin)


def _without_rivals(layer, origin):
    """A layer that sets to 0 what cannot be in use beside its values, see `schema.EXCLUSIVE`."""
    for group in EXCLUSIVE:
        used = [key for key in group if layer.get(key)]
        if len(used) > 1:
            both = " and ".join(f"{key} {text(layer[key])}" for key in used)
            raise ConfigError(f"{origin} sets {both}: only one of them can be in use.")
        if used:
            layer = {key: 0.0 for key in group} | layer
    return layer


def print_config(resolved: Resolved) -> None:
    """Prints every value and where it came from."""
    values = {key: text(value) or "''" for key, value in flatten(resolved.config).items()}
    key_width = max(map(len, values))
    value_width = max(map(len, values.values()))
    for key, value in values.items():
        print(f"{key:<{key_width}}  {value:<{value_width}}  {resolved.origins[key]}")


def split_words(words: typing.Sequence[str]) -> list[tuple[str, list[str]]]:
    """Groups the words of a command line into (option name, its values).

    Raises:
        ConfigError: A word stands before the first option.
    """
    groups = []
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            groups.append((name, [value] if equals else []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise ConfigError(f"Expected an option such as --task, got {word!r}.")
    return groups


def _from_mapping(overrides):
    known = options()
    values = {}
    for key, value in nested_items(overrides):
        if key not in known:
            raise unknown_key(key)
        values[key] = convert(known[key], value, ARGUMENT)
    return values


def _from_words(words):
    known = options()
    values = {}
    for key, arguments in split_words(words):
        group, _, name = key.rpartition(".")
        if group in known and known[group].mapping:  # --env.kwargs.size 5
            arguments = [f"{name}={' '.join(arguments)}"]
            earlier = from_text(values.get(group, ""))
            given = words_to_mapping(group, arguments, COMMAND_LINE)
            values[group] = convert(known[group], earlier | given, COMMAND_LINE)
            continue
        if key not in known:
            raise unknown_key(key)
        values[key] = parse(known[key], arguments, COMMAND_LINE)
    return values
