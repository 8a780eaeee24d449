"""The options of the schema as a flat table, and the conversion of values to their types.

Keys are dotted: ``dreamer.rssm.deter`` is ``config.dreamer.rssm.deter``.
"""

import dataclasses
import math
import numbers
import pathlib
import typing

from dreamer_tf.common import nearest
from dreamer_tf.common.own import OWN_NAME, offered
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.mappings import mapping_to_text, words_to_mapping
from dreamer_tf.config.moved import MOVED, PARTED
from dreamer_tf.config.schema import Config


@dataclasses.dataclass(frozen=True)
class Option:
    """One line of the schema.

    Attributes:
        key: Dotted name.
        kind: ``bool``, ``int``, ``float``, ``str`` or a tuple of one of these, such as
            ``(int, int)``, or ``(int, ...)`` for at least one.
        default: Value when nothing else is given.
        text: What it means.
        choices: The only values a string may take, or None.
        minimum: Smallest number allowed, or None.
        above: Number that the value must exceed, or None.
        maximum: Largest number allowed, or None.
        below: Number that the value must stay under, or None.
        mapping: Whether a ``str`` holds names with values, as JSON text; empty: none.
        group: Entry-point group whose names are allowed beside the choices, as ``module:name`` is;
            None: no others are.
    """

    key: str
    kind: type | tuple[typing.Any, ...]
    default: typing.Any
    text: str
    choices: tuple[str, ...] | None
    minimum: float | None
    above: float | None
    maximum: float | None
    below: float | None = None
    mapping: bool = False
    group: str | None = None

    @property
    def type_name(self) -> str:
        """The type as messages and ``--help`` show it."""
        if self.mapping:
            return "name=value ..."
        if isinstance(self.kind, tuple):
            return ",".join("..." if kind is ... else kind.__name__ for kind in self.kind)
        return self.kind.__name__

    def kinds(self, count: int) -> tuple[type, ...] | None:
        """The type of each of ``count`` values of a tuple; None if it cannot have so many."""
        assert isinstance(self.kind, tuple), self.key
        if self.kind[-1] is ...:
            return self.kind[:1] * count or None
        return self.kind if len(self.kind) == count else None


def options() -> dict[str, Option]:
    """Every option of the schema by its dotted key, in the order of the schema."""
    return {option.key: option for option in _walk(Config(), "")}


def sections() -> dict[str, str]:
    """The meaning of every group of options by its dotted key, in the order of the schema."""
    return dict(_walk_sections(Config(), ""))


def flatten(config: Config) -> dict[str, typing.Any]:
    """The values of a config by dotted key, in the order of the schema."""
    return {key: _lookup(config, key) for key in options()}


def build(values: dict[str, typing.Any]) -> Config:
    """The config with the given values; ``values`` holds every dotted key.

    Raises:
        KeyError: A key of the schema has no value.
    """
    return _build(Config, "", values)


def text(value: typing.Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, tuple):
        return ",".join(map(text, value))
    return str(value)


def unknown_key(key: str) -> ConfigError:
    """The error for a key that the schema lacks: what it is called now, or what comes nearest."""
    if key in MOVED:
        return ConfigError(f"{key} is now {', '.join(MOVED[key])}.")
    known = list(options())
    if key in sections():
        inside = [name for name in known if name.startswith(key + ".")]
        return ConfigError(f"{key!r} is a group of options, not one; it holds {', '.join(inside)}.")
    last = key.rpartition(".")[2]
    by_last: dict[str, list[str]] = {}
    for name in known:
        by_last.setdefault(name.rpartition(".")[2], []).append(name)
    near = nearest(key, known, cutoff=0.7)
    for match in nearest(last, by_last, count=2, cutoff=0.75):
        near += [name for name in by_last[match] if name not in near]
    return ConfigError(f"Unknown option {key!r}. {suggestion(near)}")


def suggestion(names: list[str]) -> str:
    """The sentence that ends an error about an unknown name."""
    if not names:
        return "No name comes near; --help all lists them."
    return f"Did you mean {' or '.join(map(repr, names[:4]))}?"


def checked(tree: typing.Mapping, path: pathlib.Path) -> dict[str, typing.Any]:
    """The values of a YAML file by dotted key; those of old names beneath those of new ones.

    Args:
        tree: What the file holds.
        path: Its path, for messages.

    Raises:
        ConfigError: A key does not exist, or a value does not fit.
    """
    known = options()
    given = dict(nested_items(tree))
    moved = {new: value for key, value in given.items() for new in MOVED.get(key, ())}
    if "logdir" in given:  # The config of a run, which has all options that there were.
        moved |= {new: given[key] for key, new in PARTED.items() if key in given}
    values = {}
    for key, value in (moved | {k: v for k, v in given.items() if k not in MOVED}).items():
        if key not in known:
            raise ConfigError(f"{path}: {unknown_key(key)}")
        values[key] = convert(known[key], value, f"in {path}")
    return values


def nested_items(tree: typing.Mapping, prefix: str = "") -> typing.Iterator[tuple[str, typing.Any]]:
    """The leaves of a nested mapping as (dotted key, value); an option may be a mapping itself."""
    known = options()
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, typing.Mapping) and not (key in known and known[key].mapping):
            yield from nested_items(value, key + ".")
        else:
            yield key, value


def convert(option: Option, value: typing.Any, origin: str) -> typing.Any:
    """Checks a value from YAML or Python and gives it the option's type.

    Args:
        option: What is set.
        value: Plain value; a number for a ``float`` may be an int, a number for an ``int`` may be
            a float without fraction (``1e6``), a number serves for a ``str`` whose default is one
            (where a schedule could stand), and a list, a tuple or text as on the command line
            (``64,64``) serves for a tuple.
        origin: Where the value comes from, for the message.

    Returns:
        The value as ``bool``, ``int``, ``float``, ``str`` or tuple.

    Raises:
        ConfigError: The type is wrong, or the value is not among those allowed.
    """
    if option.mapping:
        return mapping_to_text(option.key, value, origin)
    if isinstance(option.kind, tuple):
        if isinstance(value, str):  # As it is written on the command line: 64,64.
            return parse(option, [value], origin)
        kinds = option.kinds(len(value)) if isinstance(value, list | tuple) else None
        if kinds is None:
            raise _wrong_type(option, value, origin)
        parts = zip(kinds, value, strict=True)
        return tuple(_scalar(option, kind, part, origin) for kind, part in parts)
    return _scalar(option, option.kind, value, origin)


def parse(option: Option, words: list[str], origin: str) -> typing.Any:
    """Like `convert`, for the words after ``--key`` on the command line."""
    if option.mapping:
        return convert(option, words_to_mapping(option.key, words, origin), origin)
    if isinstance(option.kind, tuple):
        words = [word for group in words for word in group.split(",") if word]
        kinds = option.kinds(len(words))
        if kinds is None:
            raise _wrong_type(option, " ".join(words), origin)
        pairs = zip(kinds, words, strict=True)
        return convert(option, [_from_word(kind, word) for kind, word in pairs], origin)
    if len(words) != 1:
        got = " ".join(words) if words else "nothing"
        raise ConfigError(f"--{option.key} ({origin}) takes one {option.type_name}, got {got}.")
    return convert(option, _from_word(option.kind, words[0]), origin)


def _from_word(kind, word):
    """The value that a word stands for; the word itself when it is none of that type."""
    if kind is bool:
        return {"true": True, "false": False}.get(word.lower(), word)
    if kind in (int, float):
        for number in (int, float):
            try:
                return number(word)
            except ValueError:
                continue
    return word


def _scalar(option, kind, value, origin):
    if kind in (bool, str):
        value = str(value) if _may_be_number(option) and _is_number(value) else value
        if not isinstance(value, kind):
            raise _wrong_type(option, value, origin)
        value = kind(value)
        if _may_be_number(option) and _is_number(number := _from_word(float, value)):
            _number(option, float, number, origin)  # The agent reads schedules, and checks them.
    else:
        value = _number(option, kind, value, origin)
    if option.choices and value not in option.choices and not _is_others(option, value):
        names = [*option.choices, *(offered(option.group) if option.group else ())]
        near = nearest(str(value), names, count=1)
        hint = f" {suggestion(near)}" if near else ""
        expected = f"one of {', '.join(names)}" + ", or module:name" * bool(option.group)
        raise _not_allowed(option, value, expected, origin, hint)
    return value


def _is_others(option, value):
    """Whether a value is what somebody else's code adds to the choices."""
    return option.group and (OWN_NAME.fullmatch(value) or value in offered(option.group))


def _number(option, kind, value, origin):
    if not _is_number(value):
        raise _wrong_type(option, value, origin)
    if not _is_finite(value):
        raise _not_allowed(option, value, "a finite number", origin)
    if kind is int and value != int(value):
        raise _wrong_type(option, value, origin)
    value = kind(value)
    if option.minimum is not None and value < option.minimum:
        raise _not_allowed(option, value, f"at least {option.minimum}", origin)
    if option.above is not None and value <= option.above:
        raise _not_allowed(option, value, f"more than {option.above}", origin)
    if option.maximum is not None and value > option.maximum:
        raise _not_allowed(option, value, f"at most {option.maximum}", origin)
    if option.below is not None and value >= option.below:
        raise _not_allowed(option, value, f"less than {option.below}", origin)
    return value


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_finite(number):
    try:
        return math.isfinite(number)
    except OverflowError:  # An int beyond all floats.
        return False


def _may_be_number(option):
    return option.kind is str and _is_number(_from_word(float, option.default))


def _wrong_type(option, value, origin):
    return ConfigError(
        f"{option.key} ({origin}): expected {option.type_name}, such as {text(option.default)!r}, "
        f"got {type(value).__name__} {value!r}."
    )


def _not_allowed(option, value, expected, origin, hint=""):
    return ConfigError(f"{option.key} ({origin}): expected {expected}, got {value!r}.{hint}")


def _walk(group, prefix):
    types = typing.get_type_hints(type(group))
    for field in dataclasses.fields(group):
        key, value = prefix + field.name, getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            yield from _walk(value, key + ".")
            continue
        metadata = dict(field.metadata)
        yield Option(
            key=key,
            kind=typing.get_args(types[field.name]) or types[field.name],
            default=value,  # Of this group: a section has defaults of its own.
            text=metadata.pop("help"),
            **metadata,
        )


def _walk_sections(group, prefix):
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            yield prefix + field.name, field.metadata["help"]
            yield from _walk_sections(value, f"{prefix}{field.name}.")


def _lookup(config, key):
    for name in key.split("."):
        config = getattr(config, name)
    return config


def _build(kind, prefix, values):
    types = typing.get_type_hints(kind)
    arguments = {}
    for field in dataclasses.fields(kind):
        key = prefix + field.name
        if dataclasses.is_dataclass(types[field.name]):
            arguments[field.name] = _build(types[field.name], key + ".", values)
        else:
            arguments[field.name] = values[key]
    return kind(**arguments)
