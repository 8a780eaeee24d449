"""From the command line, or from Python, to one config that knows where each value came from.

`load` lays presets and overrides over the defaults. Presets are YAML files, which may build on
others. The command line, ``--configs``, ``--key value`` and help, is the same for all commands with
a config.
"""

import copy
import dataclasses
import functools
import itertools
import os
import pathlib
import re
import sys
import typing

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dreamer_tf import __version__
from dreamer_tf.common import nearest
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.mappings import from_text, require_end, words_to_mapping
from dreamer_tf.config.options import (
    build,
    checked,
    convert,
    flatten,
    nested_items,
    options,
    parse,
    suggestion,
    text,
    unknown_key,
)
from dreamer_tf.config.program import program_name
from dreamer_tf.config.schema import EXCLUSIVE, Config

DEFAULT = "default"
COMMAND_LINE = "command line"
ARGUMENT = "argument"
CONFIG_NAME = "config.yaml"
OWN_ENV_PRESET = "dreamerv3_gym"
"""What trains where nobody says what, in the size that suits the machine."""
BASE = "Base: "
"""What the first line of a preset begins with that is only there for others to build on."""


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A config and the origin of every value.

    Attributes:
        config: The values.
        origins: By dotted key: ``default``, ``preset <name>`` (the one whose file holds the
            value), ``command line`` or ``argument`` (given from Python).
        presets: The values of each preset that was applied, in their order, by its name.
        choose_size: Whether the preset that suits machine and observations is still to be added,
            because none was named.
        entries: By key of an option that holds names with values, those that were set one by one
            (``--env.kwargs.size 5``): over what lies beneath, not in place of it.
    """

    config: Config
    origins: dict[str, str]
    presets: dict[str, dict[str, typing.Any]] = dataclasses.field(default_factory=dict)
    choose_size: bool = False
    entries: dict[str, dict[str, typing.Any]] = dataclasses.field(default_factory=dict)

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
    applied: dict[str, dict[str, typing.Any]] = {name: {} for name in presets}
    for preset, origin, layer in ((name, *pair) for name in presets for pair in _layers(name)):
        values |= layer
        origins |= dict.fromkeys(layer, origin)
        applied[preset] |= layer
    entries: dict[str, dict[str, typing.Any]] = {}
    if isinstance(overrides, typing.Mapping):
        layer, origin = _from_mapping(overrides), ARGUMENT
    else:
        (layer, entries), origin = _from_words(overrides), COMMAND_LINE
    layer = _without_rivals(layer, origin) | _over(values | layer, entries)
    values |= layer
    origins |= dict.fromkeys(layer, origin)
    return Resolved(build(values), origins, applied, entries=entries)


def load_suitable(overrides: typing.Any = ()) -> Resolved:
    """What trains where nobody says what: `OWN_ENV_PRESET`, its size to be chosen.

    Args:
        overrides: As for `load`.
    """
    return dataclasses.replace(load([OWN_ENV_PRESET], overrides), choose_size=True)


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
    presets = resolved.presets | {name: {}}
    for origin, layer in _layers(name):
        presets[name] |= layer
        values |= _over(layer, resolved.entries)
        layer = {key: value for key, value in layer.items() if key not in given}
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    return Resolved(build(values), origins, presets, entries=resolved.entries)


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


def _over(values, entries):
    """The options among some of which entries were given one by one, with these."""
    known = options()
    return {
        key: convert(known[key], from_text(values[key]) | given, COMMAND_LINE)
        for key, given in entries.items()
        if key in values
    }


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
    """The values, and apart from them what was given entry by entry, see `Resolved`."""
    known = options()
    values, entries = {}, {}
    for key, arguments in split_words(words):
        group, _, name = key.rpartition(".")
        if group in known and known[group].mapping:  # --env.kwargs.size 5
            given = words_to_mapping(group, [f"{name}={' '.join(arguments)}"], COMMAND_LINE)
            if group in values:  # Given as a whole, too.
                values |= _over(values, {group: given})
            else:
                entries[group] = entries.get(group, {}) | given
            continue
        if key not in known:
            raise unknown_key(key)
        values[key] = parse(known[key], arguments, COMMAND_LINE)
        entries.pop(key, None)
    if "logdir" in values:
        values["logdir"] = os.path.expanduser(values["logdir"])  # No shell does in --logdir=~/run.
    return values, entries


# ---- Presets.


def read_preset(name: str) -> dict[str, typing.Any]:
    """The values that a preset sets, also by those that it builds on; see `read_layers`."""
    values: dict[str, typing.Any] = {}
    for layer in read_layers(name).values():
        values |= layer
    return values


def read_layers(name: str) -> dict[str, dict[str, typing.Any]]:
    """The values of a preset and of those that it builds on, by ``base`` at its top.

    Args:
        name: Name of a preset, or the path of a YAML file (``*.yaml``), for example the
            ``config.yaml`` of an earlier run, whose folder is left out: it is that run's own.

    Returns:
        Checked values by dotted key, by name of the preset that holds them; to be applied in this
        order, the preset's own last. A base that several others build on comes once, where it is
        first needed.

    Raises:
        ConfigError: There is no such preset, it builds on itself, or it holds an unknown key or a
            wrong value.
    """
    return _add_layers({}, name, ())


def _add_layers(layers, name, above):
    if name in above:
        raise ConfigError(f"Presets build on each other in a circle: {' > '.join((*above, name))}.")
    if name not in layers:
        path = _preset_path(name)
        tree = read_tree(path)
        for base in _bases(tree.pop("base", []), path):
            _add_layers(layers, base, (*above, name))
        layers[name] = checked(tree, path)
        layers[name].pop("logdir", None)  # Of the run whose config it is; each has its own.
    return layers


def _bases(names, path):
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: base: expected the name of a preset, or a list, got {names!r}.")
    return names


def preset_folder() -> pathlib.Path:
    """The folder of the presets: package data when installed, ``configs/`` in the repository."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / "presets"
    return installed if installed.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in preset_folder().glob("*.yaml"))


def whole_presets() -> list[str]:
    """The names of those that are meant for use, not only for other presets to build on."""
    return [name for name in preset_names() if not preset_title(name).startswith(BASE)]


def preset_title(name: str) -> str:
    """What a preset is: the comment in its first line, to the end of that sentence."""
    lines = _preset_path(name).read_text(encoding="utf-8").splitlines()
    comments = itertools.takewhile(lambda line: line.startswith("#"), lines)
    first, *rest = [line.removeprefix("#").strip() for line in comments] or [""]
    if not first or first.endswith("."):
        return first
    end, *_ = re.split(r"(?<=\.)\s", " ".join(rest), maxsplit=1)
    return f"{first} {end}".strip()


def _preset_path(name):
    if name.endswith((".yaml", ".yml")):
        path = pathlib.Path(name)
        if not path.is_file():
            raise ConfigError(f"There is no config file {name!r}.")
        return path
    if name not in preset_names():
        near = nearest(name, preset_names())
        hint = suggestion(near) if near else f"The presets are {', '.join(whole_presets())}."
        raise ConfigError(f"Unknown preset {name!r}. {hint}")
    return preset_folder() / f"{name}.yaml"


def read_tree(path: pathlib.Path) -> dict:
    """What a YAML file with options holds; empty if there is nothing in it.

    Raises:
        ConfigError: It is not YAML, or holds no keys.
    """
    try:
        # A copy: what is read may be changed.
        tree = copy.deepcopy(_parsed(path.read_bytes()))
    except YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys with values, got {type(tree).__name__}.")
    require_end(tree, path)
    return tree


@functools.lru_cache(maxsize=256)
def _parsed(content):
    """What a YAML text holds. It is slow to read, and many runs have the same."""
    return YAML(typ="safe", pure=True).load(content)


# ---- The command line.


def parse_args(
    argv: typing.Sequence[str] | None = None, description: str = "", *, suitable: bool = False
) -> Resolved:
    """Reads ``--configs NAME ... --key value ...``.

    ``--help``, also of a section, ``--version`` and ``--print_config`` print and end the program,
    with code 0.

    Args:
        argv: Words after the program's name; None: those of this process.
        description: What the command does, shown by ``--help``.
        suitable: Whether a task without presets and agent gets those of `load_suitable`.

    Returns:
        The config and where its values came from.

    Raises:
        ConfigError: A preset or key does not exist, or a value does not fit.
        SystemExit: The command line asked for one of these.
    """
    from dreamer_tf.config.help import help_text  # It lists the presets, which stand here.

    argv = sys.argv[1:] if argv is None else list(argv)
    if "--version" in argv:
        print(f"{program_name()} {__version__}")
        raise SystemExit(0)
    for word in ("-h", "--help"):
        if word in argv:
            names = [name for name in argv[argv.index(word) + 1 :] if not name.startswith("-")]
            print(help_text(description, *names[:1]))
            raise SystemExit(0)
    presets, overrides, show = [], [], False
    for name, values in split_words(argv):
        if name == "configs":
            if not values:
                raise ConfigError(f"--configs needs names among {', '.join(whole_presets())}.")
            presets += values
        elif name == "print_config":
            if values:
                raise ConfigError(f"--print_config takes no value, got {' '.join(values)!r}.")
            show = True
        elif name == "env":
            overrides += ["--task", own_environment(values)]
        else:
            overrides += [f"--{name}", *values]
    resolved = load(presets, overrides)
    earlier = pathlib.Path(resolved.config.logdir, CONFIG_NAME)
    continues = bool(resolved.config.logdir) and os.path.isfile(earlier)  # No name is too long.
    only_task = resolved.origins["task"] != DEFAULT and resolved.origins["agent"] == DEFAULT
    if suitable and only_task and not presets and not continues:
        resolved = load_suitable(overrides)
    if show:
        if continues:  # What that run would do.
            resolved = load([str(earlier), *presets], overrides)
        print_config(resolved)
        if resolved.choose_size:
            print("and the size that suits: without a GPU, the preset dreamerv3_quick")
        raise SystemExit(0)
    return resolved


def print_config(resolved: Resolved) -> None:
    """Prints every value and where it came from."""
    values = {key: text(value) or "''" for key, value in flatten(resolved.config).items()}
    key_width = max(map(len, values))
    value_width = max(map(len, values.values()))
    for key, value in values.items():
        print(f"{key:<{key_width}}  {value:<{value_width}}  {resolved.origins[key]}")


def own_environment(values: typing.Sequence[str]) -> str:
    """The task that ``--env module:name`` stands for.

    Raises:
        ConfigError: There is not one value of this form.
    """
    if len(values) != 1 or ":" not in values[0]:
        raise ConfigError(
            f"--env takes module:name of an environment of your own, such as my_robot:Arm for the "
            f"class Arm in my_robot.py; got {' '.join(values) or 'nothing'!r}. Tasks by name are "
            f"--task; the options of the group are {', '.join(_inside('env'))}."
        )
    return values[0]


def _inside(group):
    return [key for key in options() if key.rpartition(".")[0] == group]
