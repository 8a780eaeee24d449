"""The benchmarks of the papers: which tasks, how many seeds, with which presets."""

import dataclasses

from dreamer_tf.apps.figures.atari_scores import ATARI

DMC_VISION = tuple(
    f"dmc_{name}"
    for name in (
        *("acrobot_swingup", "ball_in_cup_catch", "cartpole_balance", "cartpole_balance_sparse"),
        *("cartpole_swingup", "cartpole_swingup_sparse", "cheetah_run", "finger_spin"),
        *("finger_turn_easy", "finger_turn_hard", "hopper_hop", "hopper_stand"),
        *("pendulum_swingup", "quadruped_run", "quadruped_walk", "reacher_easy", "reacher_hard"),
        *("walker_run", "walker_stand", "walker_walk"),
    )
)
DMC_PROPRIO = tuple(task for task in DMC_VISION if "quadruped" not in task)
DMC_PLANET = tuple(
    f"dmc_{name}"
    for name in (
        *("ball_in_cup_catch", "cartpole_swingup", "cheetah_run"),
        *("finger_spin", "reacher_easy", "walker_walk"),
    )
)
ATARI57 = tuple(ATARI)
ATARI55 = tuple(game for game in ATARI57 if game not in ("atari_defender", "atari_surround"))
ATARI100K = tuple(
    f"atari_{name}"
    for name in (
        *("alien", "amidar", "assault", "asterix", "bank_heist", "battle_zone", "boxing"),
        *("breakout", "chopper_command", "crazy_climber", "demon_attack", "freeway", "frostbite"),
        *("gopher", "hero", "jamesbond", "kangaroo", "krull", "kung_fu_master", "ms_pacman"),
        *("pong", "private_eye", "qbert", "road_runner", "seaquest", "up_n_down"),
    )
)


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A grid of runs.

    Attributes:
      title: What it is, with its source.
      tasks: Names of the tasks.
      seeds: How many seeds of each: as many as the paper, or the scores published with it, have.
      presets: Presets of the runs.
    """

    title: str
    tasks: tuple[str, ...]
    seeds: int
    presets: tuple[str, ...]


BENCHMARKS = {
    "planet6": Benchmark(
        "PlaNet, 6 tasks of visual control (arXiv:1811.04551, Section 5)",
        DMC_PLANET,
        seeds=5,
        presets=("planet",),
    ),
    "dmc20": Benchmark(
        "Dreamer, 20 tasks of visual control (arXiv:1912.01603, Section 6)",
        DMC_VISION,
        seeds=5,
        presets=("dmc",),
    ),
    "dmc_proprio18": Benchmark(
        "Dreamer on DreamerV3's 18 tasks of proprioceptive control (arXiv:2301.04104)",
        DMC_PROPRIO,
        seeds=5,
        presets=("dmc_proprio",),
    ),
    "dreamerv2_atari55": Benchmark(
        "DreamerV2, 55 Atari games, 200M frames (arXiv:2010.02193, Section 3)",
        ATARI55,
        seeds=8,
        presets=("dreamerv2_atari",),
    ),
    "dreamerv2_dmc20": Benchmark(
        "DreamerV2 on the same tasks, with its author's settings (arXiv:2010.02193)",
        DMC_VISION,
        seeds=5,
        presets=("dreamerv2_dmc_vision",),
    ),
    "dreamerv3_dmc_proprio18": Benchmark(
        "DreamerV3, 18 tasks of proprioceptive control (arXiv:2301.04104)",
        DMC_PROPRIO,
        seeds=5,
        presets=("dreamerv3_dmc_proprio",),
    ),
    "dreamerv3_dmc20": Benchmark(
        "DreamerV3, 20 tasks of visual control (arXiv:2301.04104)",
        DMC_VISION,
        seeds=10,
        presets=("dreamerv3_dmc_vision",),
    ),
    "dreamerv3_atari57": Benchmark(
        "DreamerV3, 57 Atari games, 200M frames (arXiv:2301.04104)",
        ATARI57,
        seeds=6,
        presets=("dreamerv3_atari",),
    ),
    "dreamerv3_atari100k": Benchmark(
        "DreamerV3, 26 Atari games with two hours of play (arXiv:1903.00374, arXiv:2301.04104)",
        ATARI100K,
        seeds=5,
        presets=("dreamerv3_atari100k",),
    ),
}
