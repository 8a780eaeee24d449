"""Config files: presets, which may build on others, and the resolved config of a run folder."""

import os
import pathlib
import typing

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from dreamer_tf.common import nearest, replacing
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.moved import MOVED
from dreamer_tf.config.options import (
    build,
    convert,
    flatten,
    options,
    suggestion,
    unknown_key,
)
from dreamer_tf.config.schema import Config

CONFIG_NAME = "config.yaml"
COMMENT_COLUMN = 40
BASE = "Base: "
"""What the first line of a preset begins with that is only there for others to build on."""


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
    """The first comment line of a preset: what it is."""
    first = _preset_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()


def read_layers(name: str) -> dict[str, dict[str, typing.Any]]:
    """The values of a preset and of those that it builds on, by ``base`` at its top.

    Args:
        name: Name of a preset, or the path of a YAML file (``*.yaml``), for example the
            ``config.yaml`` of an earlier run.

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
        tree = _read_tree(path)
        for base in _bases(tree.pop("base", []), path):
            _add_layers(layers, base, (*above, name))
        layers[name] = _checked(tree, path)
    return layers


def _bases(names, path):
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{path}: base: expected the name of a preset, or a list, got {names!r}.")
    return names


def read_preset(name: str) -> dict[str, typing.Any]:
    """The values that a preset sets, also by those that it builds on; see `read_layers`."""
    values: dict[str, typing.Any] = {}
    for layer in read_layers(name).values():
        values |= layer
    return values


def save(
    config: Config, folder: str | os.PathLike, origins: typing.Mapping[str, str] | None = None
) -> pathlib.Path:
    """Writes ``config.yaml`` into a run folder, replacing an older one in a single step.

    Args:
        config: What to write.
        folder: Run folder; made if missing.
        origins: Where the values came from, by dotted key; written beside them as comments.

    Returns:
        The path of the file.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tree = CommentedMap()
    for key, value in flatten(config).items():
        *groups, name = key.split(".")
        parent = tree
        for group in groups:
            parent = parent.setdefault(group, CommentedMap())
        parent[name] = _flow(value) if isinstance(value, tuple) else value
        if origins is not None:
            parent.yaml_add_eol_comment(origins[key], name, column=COMMENT_COLUMN)
    path = folder / CONFIG_NAME
    with replacing(path) as file:
        YAML().dump(tree, file)
    return path


def read(folder: str | os.PathLike) -> Config:
    """The config of a run folder; options that it does not name have their default.

    Raises:
        ConfigError: The folder has no ``config.yaml``, or the file does not fit the schema.
    """
    path = pathlib.Path(folder) / CONFIG_NAME
    if not path.is_file():
        raise ConfigError(f"No {CONFIG_NAME} in {str(folder)!r}; expected a run folder.")
    values = {key: option.default for key, option in options().items()}
    return build(values | _checked(_read_tree(path), path))


def differences(old: Config, new: Config) -> list[tuple[str, typing.Any, typing.Any]]:
    """The options whose values differ, as (dotted key, old value, new value)."""
    before, after = flatten(old), flatten(new)
    return [(key, before[key], after[key]) for key in before if before[key] != after[key]]


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


def _read_tree(path):
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys with values, got {type(tree).__name__}.")
    return tree


def _checked(tree, path):
    """The values of a file by dotted key; those of old names beneath those of new ones."""
    known = options()
    given = dict(nested_items(tree))
    moved = {new: value for key, value in given.items() for new in MOVED.get(key, ())}
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


def _flow(value):
    sequence = CommentedSeq(value)
    sequence.fa.set_flow_style()
    return sequence
