"""What ``--help`` prints: an overview, and the options section by section."""

import shutil
import textwrap

from dreamer_tf.common import nearest
from dreamer_tf.config.errors import ConfigError
from dreamer_tf.config.options import Option, options, sections, suggestion, text
from dreamer_tf.config.program import program_name
from dreamer_tf.config.resolve import preset_names, preset_title, whole_presets

ALL = "all"
_COLUMN = 30
_WIDEST = 100


def help_text(description: str = "", name: str = "") -> str:
    """What ``--help`` prints, or ``--help NAME``.

    Args:
        description: What the command does.
        name: A section such as ``dreamerv3`` or ``dreamerv3.rssm``, an option, or ``all``; empty:
            the overview: presets, general options, and which sections there are.

    Raises:
        ConfigError: There is no such section or option.
    """
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    if name:
        return "\n".join(_section(name.lstrip("-"), width))
    lines = [f"usage: {program_name()} [--configs NAME ...] [--key value ...]", ""]
    if description:
        lines += [*textwrap.wrap(description, width), ""]
    for entry, meaning in (
        ("--configs NAME ...", "presets, applied from left to right; or YAML files"),
        ("--env module:name", "a class or function of your own, which is then the task"),
        ("--print_config", "show the result and where each value came from"),
        ("--version", "show the version"),
        ("--help", "show this"),
        ("--help NAME", f"show the options of a section, one option, or {ALL} of them"),
    ):
        lines += _entry(entry, meaning, width)
    whole = whole_presets()
    bases = [preset for preset in preset_names() if preset not in whole]
    for heading, names in ("presets", whole), ("presets that these build on", bases):
        lines += ["", heading]
        for preset in names:
            lines += _entry(preset, preset_title(preset), width)
    lines += ["", "general", *_options("", width), "", "sections of further options"]
    for section, meaning in sections().items():
        if "." not in section:
            count = sum(key.startswith(f"{section}.") for key in options())
            lines += _entry(f"--help {section}", f"{meaning} ({count} options)", width)
    return "\n".join(lines)


def _section(name, width):
    known, headings = options(), sections()
    if name == ALL:
        return _groups({"": "general", **headings}, width)
    if name in headings:
        inside = [key for key in headings if key == name or key.startswith(f"{name}.")]
        return _groups({key: headings[key] for key in inside}, width)
    if name in known:
        return _entry(*_describe(known[name]), width)
    near = nearest(name, [*headings, *known])
    raise ConfigError(f"--help knows no section or option {name!r}. {suggestion(near)}")


def _groups(headings, width):
    lines = []
    for section, heading in headings.items():
        inside = _options(section, width)
        title = f"{section}: {heading}" if section else heading
        if inside:
            lines += [*([""] if lines else []), *textwrap.wrap(title, width), *inside]
    return lines


def _options(section, width):
    """The entries of the options that stand in a section itself, not in one inside of it."""
    lines = []
    for key, option in options().items():
        if key.rpartition(".")[0] == section:
            lines += _entry(*_describe(option), width)
    return lines


def _describe(option: Option):
    kind = "|".join(option.choices) if option.choices else option.type_name
    default = text(option.default) or "empty"
    return f"--{option.key} {kind}", f"{option.text} (default: {default})"


def _entry(name, meaning, width):
    wrapped = textwrap.wrap(meaning, max(width - _COLUMN, 30), break_on_hyphens=False)
    rest = [" " * _COLUMN + line for line in wrapped]
    if len(name) + 4 > _COLUMN:
        return [*textwrap.wrap(name, width, initial_indent="  ", subsequent_indent="    "), *rest]
    return [f"  {name}".ljust(_COLUMN) + wrapped[0], *rest[1:]]
