"""The config file of a run folder."""

import os
import pathlib
import re
import typing

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from dreamer_tf.common import replacing
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.options import build, checked, flatten, options
from dreamer_tf.config.remarks import AGENTS
from dreamer_tf.config.resolve import CONFIG_NAME, load, read_tree
from dreamer_tf.config.schema import ACTING, FOR_ONE_START, Config

COMMENT_COLUMN = 40


def save(
    config: Config, folder: str | os.PathLike, origins: typing.Mapping[str, str] | None = None
) -> pathlib.Path:
    """Writes ``config.yaml`` into a run folder, replacing an older one in a single step.

    What is allowed to one start, see `schema.FOR_ONE_START`, is left out.

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
        if key in FOR_ONE_START:
            continue
        *groups, name = key.split(".")
        parent = tree
        for group in groups:
            parent = parent.setdefault(group, CommentedMap())
        parent[name] = _flow(value) if isinstance(value, tuple) else value
        if origins is not None:
            parent.yaml_add_eol_comment(origins[key], name, column=COMMENT_COLUMN)
    path = folder / CONFIG_NAME
    with replacing(path) as temporary, temporary.open("wb") as file:
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
    return build(values | checked(read_tree(path), path))


def differences(old: Config, new: Config) -> list[tuple[str, typing.Any, typing.Any]]:
    """The options whose values differ, as (dotted key, old value, new value)."""
    before, after = flatten(old), flatten(new)
    kept = [key for key in before if key not in FOR_ONE_START]
    return [(key, before[key], after[key]) for key in kept if before[key] != after[key]]


def _flow(value):
    sequence = CommentedSeq(value)
    sequence.fa.set_flow_style()
    return sequence


def change_acting(
    config: Config,
    overrides: typing.Mapping[str, typing.Any] | typing.Sequence[str],
) -> Config:
    """A config whose agent acts otherwise with the weights that it has.

    Args:
        config: Config of a run.
        overrides: As for `load`: options that `schema.ACTING` names.

    Raises:
        ConfigError: An option does not exist, does not fit, or means more than how the agent acts.
    """
    layer = load((), overrides).given()
    for key in layer:
        if not re.fullmatch(ACTING, key):
            raise ConfigError(
                f"{key} cannot change after training. What can is how the agent acts: "
                f"{config.agent}.policy, .planner and the like, where the agent has them."
            )
        # The options of a class of one's own are those of the agent that it derives from.
        if config.agent in AGENTS and key.partition(".")[0] != config.agent:
            raise ConfigError(f"{key} is none of the run's agent, which is {config.agent}.")
    return build(flatten(config) | layer)
