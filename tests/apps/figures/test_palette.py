"""The looks of methods: the same everywhere, and apart for colour-blind readers."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from dreamer_tf.apps.figures import palette
from dreamer_tf.apps.figures.palette import COLORS, GREY, rank, styles
from dreamer_tf.config import options

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009: linear RGB as seen without one kind of cones.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# Methods that papers show together.
TOGETHER = [
    ["dreamer", "planet_1e6", "d4pg_100m", "a3c_100m_proprio", "slac_3e6"],
    ["planet", "dreamer", "dreamerv2", "dreamerv3"],
    ["dreamerv3", "sac", "curl", "drqv2", "ppo"],
    ["dreamerv3", "d4pg", "dmpo"],
    [
        "dreamerv2",
        "dreamerv3",
        "dqn_sticky_2e8",
        "c51_sticky_2e8",
        "rainbow_sticky_2e8",
        "iqn_sticky_2e8",
        "human_gamer",
    ],
    ["reconstruction", "contrastive", "reward"],
    ["reconstruction", "r2", "infonce", "dreamerpro"],
    ["dreamerv3", "r2", "dreamerpro", "harmony"],
]


def linear(color):
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB."""
    to_xyz = [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
    xyz = np.array(to_xyz) @ np.clip(rgb, 0, 1) / [0.95047, 1, 1.08883]
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest_pair(colors, vision):
    seen = {color: lab(np.array(vision) @ linear(color)) for color in colors}
    pairs = itertools.combinations(seen, 2)
    return min(float(np.linalg.norm(seen[a] - seen[b])) for a, b in pairs)


@pytest.mark.parametrize("name", VISION)
def test_colours_stay_apart_for_every_kind_of_sight(name):
    assert len(set(COLORS)) == 8
    # 2.3 is a just noticeable difference of large fields; thin lines need several times that.
    assert nearest_pair(COLORS, VISION[name]) > 15


def test_the_measure_sees_what_colour_blind_readers_do_not():
    red_and_green = ["#D62728", "#2CA02C"]
    assert nearest_pair(red_and_green, VISION["normal"]) > 100
    assert nearest_pair(red_and_green, VISION["deuteranopia"]) < 50


def test_colours_show_on_white():
    for color in COLORS:
        luminance = linear(color) @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 2.2


def test_no_two_methods_of_the_table_look_alike_but_the_objectives():
    table = {
        n: s
        for n, s in palette._KNOWN.items()
        if n not in ("reconstruction", "contrastive", "reward")
    }
    looks = [(style.color, style.dash, style.marker) for style in table.values()]
    assert len(set(looks)) == len(looks)
    assert len({style.label for style in table.values()}) == len(table)


@pytest.mark.parametrize("methods", TOGETHER, ids=lambda methods: methods[0])
def test_methods_of_one_figure_have_colours_of_their_own(methods):
    looks = styles(methods)
    assert len({look.color for look in looks.values()}) == len(methods)
    assert list(looks) == methods


@hypothesis.given(st.lists(st.sampled_from(sorted(palette._KNOWN)), min_size=1, unique=True))
def test_a_known_method_looks_the_same_beside_any_others(methods):
    objectives = {"reconstruction", "contrastive", "reward"}
    hypothesis.assume(not objectives & set(methods))
    for method, look in styles(methods).items():
        assert look == styles([method])[method]


@hypothesis.given(st.lists(st.text("abcxyz_1", min_size=1), min_size=1, max_size=40, unique=True))
def test_no_two_methods_of_a_figure_look_alike(methods):
    looks = styles(methods).values()
    assert len({(look.color, look.dash, look.marker) for look in looks}) == len(methods)


def test_unknown_methods_keep_their_look_and_take_free_colours():
    assert styles(["mine"]) == styles(["mine"])
    assert styles(["mine", "sac"])["sac"] == styles(["sac"])["sac"]
    looks = styles(["dreamer", *(f"variant {i}" for i in range(7))])
    assert {look.color for look in looks.values()} == set(COLORS)
    assert len({look.marker for look in looks.values()}) == 8
    assert GREY not in COLORS


def test_variants_have_the_colour_of_their_family_and_say_what_they_are():
    looks = styles(["rainbow_sticky_2e8", "rainbow_determ_2e8", "dreamer", "dreamer (published)"])
    sticky, determ, own, published = looks.values()
    assert sticky.color == determ.color and sticky.dash != determ.dash
    assert own.color == published.color and own.dash != published.dash
    assert published.label == "Dreamer (published)"
    assert sticky.label == "Rainbow (sticky actions, 200M frames)"
    assert styles(["planet_1e6"])["planet_1e6"].label == "PlaNet (1M frames)"
    assert styles(["dreamerv2"])["dreamerv2"].label == "DreamerV2"  # no variant of dreamer


def test_a_name_of_ones_own_does_not_change_the_colour():
    for names in (["Small"], ["Small", "Large"], ["zeta", "dreamer", "Small", "sac"]):
        algorithms = {name: "dreamer" for name in names if name not in ("dreamer", "sac")}
        looks = styles(names, algorithms)
        for name in algorithms:
            assert looks[name].color == styles(["dreamer"])["dreamer"].color
            assert looks[name].label == name
        alike = [look for look in looks.values() if look.color == looks[names[0]].color]
        for part in ("dash", "marker", "hatch"):
            assert len({getattr(look, part) for look in alike}) == len(alike), part


def test_a_label_of_the_table_is_that_method():
    looks = styles(["Reward only", "Contrastive", "dreamerV3"])
    assert [look.color for look in looks.values()] == [
        styles([name])[name].color for name in ("reward", "contrastive", "dreamerv3")
    ]
    assert list(looks) == [look.label for look in looks.values()]


def test_final_scores_are_never_drawn_like_curves():
    assert all(style.level != "solid" for style in palette._KNOWN.values())


def test_agents_and_objectives_of_this_project_are_known():
    names = ("agent", "dreamer.objective", "dreamerv3.objective")
    choices = [choice for name in names for choice in options()[name].choices]
    assert [name for name in choices if palette.family(name) != name] == []


def test_known_methods_come_first():
    assert sorted(["zeta", "sac", "alpha", "dreamer"], key=rank) == [
        "dreamer",
        "sac",
        "alpha",
        "zeta",
    ]
