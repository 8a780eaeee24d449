"""How an option of the schema is written down."""

import dataclasses


def option(default, text, choices=None, *, minimum=None, above=None, maximum=None):
    """A documented field with the values it may take.

    Args:
        default: Value when neither a preset nor the command line gives one.
        text: What it means, with its unit.
        choices: The only values a string may take.
        minimum: Smallest number allowed.
        above: Number that the value must exceed.
        maximum: Largest number allowed.

    Returns:
        The dataclass field.
    """
    metadata = {
        "help": text,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


def section(kind, text):
    """A field that holds a group of options."""
    return dataclasses.field(default_factory=kind, metadata={"help": text})
