"""What random play, people and the best of them score in the games of the Atari benchmark.

Sources:

- random, gamer: a uniformly random policy and a professional game tester, in episodes that begin
  with up to 30 no-ops: Wang et al., "Dueling Network Architectures for Deep Reinforcement
  Learning", 2016 (arXiv:1511.06581); the gamer is the one of Mnih et al., 2015.
- record: the human world record: Toromanoff, Wirbel and Moutarde, "Is Deep Reinforcement Learning
  Really Superhuman on Atari?", 2019 (arXiv:1908.04683).

DreamerV2 (arXiv:2010.02193) normalises by the same scores. The table of baselines that its author
published beside the code has 7 and 29 for James Bond instead of 29 and 302.8; by itself that lifts
DreamerV2's gamer mean over 55 games from 12 to 41.
"""

import typing


class Reference(typing.NamedTuple):
    """Reference scores of a game.

    Attributes:
      random: Mean score of a uniformly random policy.
      gamer: Mean score of a professional game tester.
      record: Human world record; None where none is known.
    """

    random: float
    gamer: float
    record: float | None


ATARI: typing.Final = {
    "atari_alien": Reference(227.8, 7127.7, 251_916),
    "atari_amidar": Reference(5.8, 1719.5, 104_159),
    "atari_assault": Reference(222.4, 742, 8_647),
    "atari_asterix": Reference(210, 8503.3, 1_000_000),
    "atari_asteroids": Reference(719.1, 47388.7, 10_506_650),
    "atari_atlantis": Reference(12_850, 29028.1, 10_604_840),
    "atari_bank_heist": Reference(14.2, 753.1, 82_058),
    "atari_battle_zone": Reference(2_360, 37187.5, 801_000),
    "atari_beam_rider": Reference(363.9, 16926.5, 999_999),
    "atari_berzerk": Reference(123.7, 2630.4, 1_057_940),
    "atari_bowling": Reference(23.1, 160.7, 300),
    "atari_boxing": Reference(0.1, 12.1, 100),
    "atari_breakout": Reference(1.7, 30.5, 864),
    "atari_centipede": Reference(2090.9, 12_017, 1_301_709),
    "atari_chopper_command": Reference(811, 7387.8, 999_999),
    "atari_crazy_climber": Reference(10780.5, 35829.4, 219_900),
    "atari_defender": Reference(2874.5, 18688.9, 6_010_500),
    "atari_demon_attack": Reference(152.1, 1_971, 1_556_345),
    "atari_double_dunk": Reference(-18.6, -16.4, 22),
    "atari_enduro": Reference(0, 860.5, 9_500),
    "atari_fishing_derby": Reference(-91.7, -38.7, 71),
    "atari_freeway": Reference(0, 29.6, 38),
    "atari_frostbite": Reference(65.2, 4334.7, 454_830),
    "atari_gopher": Reference(257.6, 2412.5, 355_040),
    "atari_gravitar": Reference(173, 3351.4, 162_850),
    "atari_hero": Reference(1_027, 30826.4, 1_000_000),
    "atari_ice_hockey": Reference(-11.2, 0.9, 36),
    "atari_jamesbond": Reference(29, 302.8, 45_550),
    "atari_kangaroo": Reference(52, 3_035, 1_424_600),
    "atari_krull": Reference(1_598, 2665.5, 104_100),
    "atari_kung_fu_master": Reference(258.5, 22736.3, 1_000_000),
    "atari_montezuma_revenge": Reference(0, 4753.3, 1_219_200),
    "atari_ms_pacman": Reference(307.3, 6951.6, 290_090),
    "atari_name_this_game": Reference(2292.3, 8_049, 25_220),
    "atari_phoenix": Reference(761.4, 7242.6, 4_014_440),
    "atari_pitfall": Reference(-229.4, 6463.7, 114_000),
    "atari_pong": Reference(-20.7, 14.6, 21),
    "atari_private_eye": Reference(24.9, 69571.3, 101_800),
    "atari_qbert": Reference(163.9, 13_455, 2_400_000),
    "atari_riverraid": Reference(1338.5, 17_118, 1_000_000),
    "atari_road_runner": Reference(11.5, 7_845, 2_038_100),
    "atari_robotank": Reference(2.2, 11.9, 76),
    "atari_seaquest": Reference(68.4, 42054.7, 999_999),
    "atari_skiing": Reference(-17098.1, -4336.9, -3_272),
    "atari_solaris": Reference(1236.3, 12326.7, 111_420),
    "atari_space_invaders": Reference(148, 1668.7, 621_535),
    "atari_star_gunner": Reference(664, 10_250, 77_400),
    "atari_surround": Reference(-10, 6.5, None),
    "atari_tennis": Reference(-23.8, -8.3, 21),
    "atari_time_pilot": Reference(3_568, 5229.2, 65_300),
    "atari_tutankham": Reference(11.4, 167.6, 5_384),
    "atari_up_n_down": Reference(533.4, 11693.2, 82_840),
    "atari_venture": Reference(0, 1187.5, 38_900),
    "atari_video_pinball": Reference(16256.9, 17667.9, 89_218_328),
    "atari_wizard_of_wor": Reference(563.5, 4756.5, 395_300),
    "atari_yars_revenge": Reference(3092.9, 54576.9, 15_000_105),
    "atari_zaxxon": Reference(32.5, 9173.3, 83_700),
}
