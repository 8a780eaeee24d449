"""How options and groups of options are written down.

An option is declared once, with its meaning and bounds: by `option` in the one class that has it;
or in `dreamer_tf.config.shared`, as a function that agents call with their default, or in a class
of which agents have groups with defaults of their own.
"""

import dataclasses
import functools


def option(
    default,
    text,
    choices=None,
    *,
    minimum=None,
    above=None,
    maximum=None,
    below=None,
    mapping=False,
    group=None,
):
    """A documented field with the values it may take.

    Args:
        default: Value when neither a preset nor the command line gives one.
        text: What it means, with its unit.
        choices: The only values a string may take.
        minimum: Smallest number allowed.
        above: Number that the value must exceed.
        maximum: Largest number allowed.
        below: Number that the value must stay under.
        mapping: Whether it holds names with values of any type, kept as JSON text.
        group: Entry-point group whose names are allowed beside the choices, as ``module:name`` is.

    Returns:
        The dataclass field.
    """
    metadata = {
        "help": text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "below": below,
        "mapping": mapping,
        "group": group,
    }
    return dataclasses.field(default=default, metadata=metadata)


def section(kind, text, **defaults):
    """A field that holds a group of options.

    Args:
        kind: The group's dataclass.
        text: What the group is about.
        **defaults: Defaults of options that differ from those of the class:
            ``section(HeadConfig, "reward model", layers=1, units=1024)``.

    Returns:
        The dataclass field.
    """
    return dataclasses.field(
        default_factory=functools.partial(kind, **defaults), metadata={"help": text}
    )
