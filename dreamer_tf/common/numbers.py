"""Numbers and texts as people write and read them."""

import math
import re
import textwrap


def number(value: float | None) -> str:
    """A number for readers: thousands with commas, else four digits that count.

    >>> number(1090.4), number(0.0123456), number(None)
    ('1,090.4', '0.01235', '–')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if value == int(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"


def rounded(value: float) -> str:
    """A number for a glance: whole from 100 on, else three digits that count.

    >>> rounded(1090.4), rounded(0.0123456)
    ('1,090', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def counted(count: int, name: str) -> str:
    """A count and what is counted: ``1 frame``, ``8 frames``."""
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``1 h 42 min``, or from two days on ``17.2 days``."""
    if seconds >= 48 * 3600:
        return f"{seconds / 86400:,.1f} days"
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def wrapped(text: str, width: int) -> str:
    """A text in lines that fit, all but the first indented.

    A path stays whole and copyable, and no line ends at a no-break space, which becomes a space.
    """
    # textwrap breaks at no such space: a path keeps its place behind the two words before it.
    text = re.sub(r" (?=(\S+ )?\S*/\S)", "\u00a0", text)
    lines = [
        textwrap.fill(
            line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    ]
    return "\n".join(lines).replace("\u00a0", " ")
