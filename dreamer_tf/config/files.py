"""Config files: presets, and the resolved config of a run folder."""

import difflib
import os
import pathlib
import typing

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError

from dreamer_tf.config.options import (
    ConfigError,
    build,
    convert,
    flatten,
    nearest,
    options,
    unknown_key,
)
from dreamer_tf.config.schema import Config

CONFIG_NAME = "config.yaml"
COMMENT_COLUMN = 40


def preset_folder() -> pathlib.Path:
    """The folder of the presets: package data when installed, ``configs/`` in the repository."""
    package = pathlib.Path(__file__).resolve().parents[1]
    installed = package / "presets"
    return installed if installed.is_dir() else package.parent / "configs"


def preset_names() -> list[str]:
    """The names of all presets."""
    return sorted(path.stem for path in preset_folder().glob("*.yaml"))


def preset_title(name: str) -> str:
    """The first comment line of a preset: what it is."""
    first = _preset_path(name).read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip()


def read_preset(name: str) -> dict[str, typing.Any]:
    """The values that a preset sets.

    Args:
        name: Name of a preset, or the path of a YAML file (``*.yaml``), for example the
            ``config.yaml`` of an earlier run.

    Returns:
        Checked values by dotted key.

    Raises:
        ConfigError: There is no such preset, or it holds an unknown key or a wrong value.
    """
    return _read_values(_preset_path(name))


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
    partial = folder / f".{CONFIG_NAME}.tmp"
    with partial.open("w", encoding="utf-8") as file:
        YAML().dump(tree, file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
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
    return build(values | _read_values(path))


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
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3)
        hint = nearest(near) if near else f"The presets are {', '.join(names)}."
        raise ConfigError(f"Unknown preset {name!r}. {hint}")
    return preset_folder() / f"{name}.yaml"


def _read_values(path):
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected keys with values, got {type(tree).__name__}.")
    known = options()
    values = {}
    for key, value in nested_items(tree):
        if key not in known:
            raise ConfigError(f"{path}: {unknown_key(key)}")
        values[key] = convert(known[key], value, f"in {path}")
    return values


def nested_items(tree: typing.Mapping, prefix: str = "") -> typing.Iterator[tuple[str, typing.Any]]:
    """The leaves of a nested mapping as (dotted key, value)."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, typing.Mapping):
            yield from nested_items(value, key + ".")
        else:
            yield key, value


def _flow(value):
    sequence = CommentedSeq(value)
    sequence.fa.set_flow_style()
    return sequence
