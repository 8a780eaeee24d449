"""Typed options, YAML presets, strict overrides, and the saved config of a run.

>>> from dreamer_tf import config
>>> resolved = config.load(["dmc"], {"env.count": 4})
>>> resolved.config.env.count, resolved.origins["env.count"]
(4, 'argument')
"""

from dreamer_tf.config.dreamer import DreamerConfig
from dreamer_tf.config.dreamerv2 import DreamerV2Config
from dreamer_tf.config.dreamerv3 import DreamerV3Config
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.files import CONFIG_NAME, change_acting, differences, read, save
from dreamer_tf.config.help import help_text
from dreamer_tf.config.mappings import from_text
from dreamer_tf.config.options import Option, flatten, options
from dreamer_tf.config.planet import PlaNetConfig
from dreamer_tf.config.program import command
from dreamer_tf.config.remarks import remarks, unread_options
from dreamer_tf.config.resolve import (
    OWN_ENV_PRESET,
    Resolved,
    add_preset,
    load,
    load_suitable,
    own_environment,
    parse_args,
    preset_names,
    print_config,
    read_preset,
)
from dreamer_tf.config.schema import Config, EnvConfig, ReplayConfig, RunConfig
from dreamer_tf.config.shared import OptimizerConfig, PlannerConfig

__all__ = [
    "CONFIG_NAME",
    "Config",
    "ConfigError",
    "DreamerConfig",
    "DreamerV2Config",
    "DreamerV3Config",
    "EnvConfig",
    "OWN_ENV_PRESET",
    "OptimizerConfig",
    "Option",
    "PlaNetConfig",
    "PlannerConfig",
    "ReplayConfig",
    "Resolved",
    "RunConfig",
    "add_preset",
    "change_acting",
    "command",
    "differences",
    "flatten",
    "from_text",
    "help_text",
    "load",
    "load_suitable",
    "options",
    "own_environment",
    "parse_args",
    "preset_names",
    "print_config",
    "read",
    "read_preset",
    "remarks",
    "save",
    "unread_options",
]
