"""Options that hold names with values of any type, such as constructor arguments, as JSON text."""

import json
import typing

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dreamer_tf.config.errors import ConfigError

_EXAMPLE = "size=5 or '{\"size\": 5}'"


def mapping_to_text(key: str, value, origin: str) -> str:
    """The JSON text of a mapping, which may be given as JSON or YAML; empty for an empty one.

    Raises:
        ConfigError: It is no mapping, or holds what JSON cannot.
    """
    if isinstance(value, str):
        value = _from_json_or_yaml(key, value, origin) if value.strip() else {}
    if not isinstance(value, typing.Mapping):
        raise ConfigError(
            f"{key} ({origin}): expected names with values, {_EXAMPLE}, got {value!r}."
        )
    try:
        return json.dumps(dict(value), sort_keys=True) if value else ""
    except TypeError as error:
        raise ConfigError(
            f"{key} ({origin}): expected numbers, text, lists and mappings of these, got "
            f"{dict(value)!r}. From Python, pass a function that makes the environment."
        ) from error


def require_end(value, where, above: tuple[int, ...] = ()) -> None:
    """Refuses a value from YAML that holds itself, by an alias.

    Raises:
        ConfigError: It does; the message begins with ``where``.
    """
    if id(value) in above:
        raise ConfigError(f"{where}: an alias (*) leads back to what it stands in.")
    parts = value.values() if isinstance(value, typing.Mapping) else value
    if isinstance(value, typing.Mapping | list):
        for part in parts:
            require_end(part, where, (*above, id(value)))


def words_to_mapping(key: str, words: typing.Sequence[str], origin: str):
    """What words such as ``size=5`` say; a single word may be a mapping in JSON or YAML.

    Raises:
        ConfigError: A word is neither.
    """
    if len(words) == 1 and words[0].lstrip()[:1] in ("", "{"):
        return words[0]
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"{key} ({origin}): expected {_EXAMPLE}, got {word!r}.")
        # A word of a command line has no comments: what follows a # is part of it.
        is_text = "#" in value and value.lstrip()[:1] not in "'\"[{"
        pairs[name] = value if is_text else _from_yaml(key, value, origin)
    return pairs


def from_text(text: str) -> dict[str, typing.Any]:
    """The mapping that a value of such an option stands for."""
    return json.loads(text) if text else {}


def _from_json_or_yaml(key, text, origin):
    try:
        return json.loads(text)  # As runs keep it, with Infinity and NaN, which are text in YAML.
    except ValueError:
        return _from_yaml(key, text, origin)


def _from_yaml(key, text, origin):
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ConfigError(f"{key} ({origin}): expected {_EXAMPLE}, got {text!r}.") from error
    require_end(value, f"{key} ({origin})")
    return value
