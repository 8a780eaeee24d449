"""How each method looks: one colour for a method in every figure.

The colours are eight that stay apart for the common kinds of colour blindness (after Okabe and Ito,
"Color Universal Design", 2008; yellow, which is too light for lines on white, is replaced by a dark
red). Where there are more methods than colours, those that share one differ in the line's dashes,
marker and hatching, which also tell them apart without any colour.
"""

import dataclasses
import itertools
import zlib

BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
BLACK, WINE, GREY = "#222222", "#882255", "#999999"
COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK, WINE)

SOLID, DASHED, DASHDOT, DOTTED, LONG = (
    "solid",
    (0, (4, 1.5)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (1, 1.2)),
    (0, (8, 2)),
)
DASHES = (SOLID, DASHED, DASHDOT, DOTTED, LONG)
_LEVEL = (0, (2.5, 1.5))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_HATCHES = {"v": "////", "P": "....", "X": "xxxx", "*": "\\\\\\\\"}

PUBLISHED = " (published)"
"""Ends the name of a baseline that comes from a score file while a run has the same method."""
BASELINE = " (baseline)"
"""Ends it where the baseline is a run folder."""


@dataclasses.dataclass(frozen=True)
class Style:
    """How a method looks.

    Attributes:
      label: Name in the legend.
      color: ``#RRGGBB``.
      dash: Line style, as matplotlib takes it.
      marker: Marker, as matplotlib takes it.
    """

    label: str
    color: str
    dash: object
    marker: str

    @property
    def level(self):
        """Line style of a horizontal line for a final score, never solid like a curve."""
        return _LEVEL if self.dash == SOLID else self.dash

    @property
    def hatch(self):
        """Hatching of a bar, by the marker; none for the first few markers."""
        return _HATCHES.get(self.marker, "")


_KNOWN = {
    # agents of this project
    "dreamer": Style("Dreamer", BLUE, SOLID, "o"),
    "dreamerv2": Style("DreamerV2", VERMILLION, SOLID, "s"),
    "dreamerv3": Style("DreamerV3", GREEN, SOLID, "^"),
    "planet": Style("PlaNet", PURPLE, SOLID, "D"),
    "random": Style("Random", GREY, DOTTED, "."),
    # representation objectives of the first Dreamer
    "reconstruction": Style("Reconstruction", BLUE, SOLID, "o"),
    "contrastive": Style("Contrastive", ORANGE, SOLID, "s"),
    "reward": Style("Reward only", PURPLE, SOLID, "D"),
    # representation objectives of DreamerV3, and its harmonised losses
    "r2": Style("R2-Dreamer", VERMILLION, SOLID, "o"),
    "infonce": Style("InfoNCE", ORANGE, SOLID, "D"),
    "dreamerpro": Style("DreamerPro", PURPLE, SOLID, "v"),
    "harmony": Style("HarmonyDream", SKY, SOLID, "s"),
    # continuous control
    "d4pg": Style("D4PG", BLACK, SOLID, "v"),
    "a3c": Style("A3C", ORANGE, SOLID, "P"),
    "slac": Style("SLAC", SKY, SOLID, "X"),
    "sac": Style("SAC", WINE, SOLID, "v"),
    "curl": Style("CURL", SKY, SOLID, "P"),
    "drqv2": Style("DrQ-v2", ORANGE, SOLID, "X"),
    "dmpo": Style("DMPO", WINE, SOLID, "*"),
    "ppo": Style("PPO", BLACK, SOLID, "*"),
    # Atari
    "dqn": Style("DQN", BLACK, DASHED, "o"),
    "c51": Style("C51", WINE, DASHED, "s"),
    "rainbow": Style("Rainbow", SKY, DASHED, "^"),
    "iqn": Style("IQN", ORANGE, DASHED, "D"),
    "ddqn": Style("Double DQN", BLACK, LONG, "v"),
    "dueling": Style("Dueling DQN", WINE, LONG, "P"),
    "prioritized": Style("Prioritized DQN", SKY, LONG, "X"),
    "reactor": Style("Reactor", ORANGE, LONG, "*"),
    "simple": Style("SimPLe", PURPLE, LONG, "o"),
    "human_gamer": Style("Human gamer", GREY, DASHED, "d"),
    "human_record": Style("Human record", GREY, LONG, "d"),
}
# What the names of the authors' baselines say behind the method.
_SUFFIXES = {
    "4e5": "400K frames",
    "1e6": "1M frames",
    "3e6": "3M frames",
    "100m": "100M frames",
    "2e8": "200M frames",
    "proprio": "state",
    "sticky": "sticky actions",
    "determ": "no sticky actions",
}


_BY_LABEL = {style.label.lower(): name for name, style in _KNOWN.items()}


def family(method):
    """The known method that a name is a variant of, such as ``d4pg`` of ``d4pg_100m``; or None.

    A label of the table, such as ``Reward only``, is that method too.
    """
    name = method.removesuffix(_apart(method))
    if name.lower() in _BY_LABEL:
        return _BY_LABEL[name.lower()]
    fitting = [known for known in _KNOWN if name == known or name.startswith(known + "_")]
    return max(fitting, key=len, default=None)


def _apart(method):
    """The ending that tells a baseline from the runs; empty for a method of theirs."""
    return next((end for end in (PUBLISHED, BASELINE) if method.endswith(end)), "")


def rank(method):
    """Sorts methods: known ones in the order of their table, each before its variants."""
    known = family(method)
    place = list(_KNOWN).index(known) if known else len(_KNOWN)
    return place, method


def styles(methods, algorithms=None):
    """The looks of several methods in one figure.

    A known method always looks the same; variants of one, such as two of Rainbow, and what has a
    name of its own but is one, share its colour. Any other method gets its look from its name, so
    that it looks the same elsewhere too, unless another in this figure has that colour or marker
    already.

    Args:
      methods: Names.
      algorithms: Dict of name to the method that it stands for, where a user gave the name.

    Returns:
      Dict of name to `Style`; no two look alike.
    """
    algorithms = algorithms or {}
    chosen = {}
    for method in sorted(set(methods), key=rank):
        used = {(style.color, style.dash, style.marker) for style in chosen.values()}
        known = family(method) or family(algorithms.get(method, ""))
        candidates = _candidates(method, known, chosen.values())
        label = _label(method)
        for color, dash, marker in candidates:
            if (color, dash, marker) not in used:
                chosen[method] = Style(label, color, dash, marker)
                break
    return {method: chosen[method] for method in methods}


def _candidates(method, known, others):
    """The looks that a method may take beside others, best first."""
    if known:
        looks = _variants(_KNOWN[known], others, bool(_apart(method)))
        own = _KNOWN.get(method)
        return [(own.color, own.dash, own.marker), *looks] if own else looks
    start = zlib.crc32(method.encode())
    colors = [COLORS[(start + i) % len(COLORS)] for i in range(len(COLORS))]
    markers = [_MARKERS[(start + i) % len(_MARKERS)] for i in range(len(_MARKERS))]
    # A colour and a marker that nothing else here has, as long as there are any.
    colors.sort(key={style.color for style in others}.__contains__)
    markers.sort(key={style.marker for style in others}.__contains__)
    return itertools.chain.from_iterable(
        ((color, dash, marker) for color in colors) for marker in markers for dash in DASHES
    )


def _variants(style, others, apart):
    """The looks in the colour of a style: its own, then those that have least in common with it."""
    dashes = [style.dash, *(dash for dash in DASHES if dash != style.dash)]
    if apart:
        dashes = [*dashes[1:], dashes[0]]
    # Markers that go with a hatching first, so that bars differ, too.
    markers = [style.marker, *(m for m in (*_HATCHES, *_MARKERS) if m != style.marker)]
    looks = [(style.color, dash, marker) for marker in markers for dash in dashes]
    if not apart:
        same = [other for other in others if other.color == style.color]
        looks.sort(key=lambda look: sum((s.dash == look[1]) + (s.marker == look[2]) for s in same))
    return looks


def _label(method):
    known = family(method)
    if known is None or (method not in _KNOWN and method.lower() in _BY_LABEL):
        return method
    apart = _apart(method)
    rest = method.removesuffix(apart)[len(known) + 1 :]
    words = [_SUFFIXES.get(part, part) for part in rest.split("_") if part]
    if apart:
        words.append(apart.strip(" ()"))
    label = _KNOWN[known].label
    return f"{label} ({', '.join(words)})" if words else label
