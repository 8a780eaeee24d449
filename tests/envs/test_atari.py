"""Atari games with the real emulator."""

import sys

import numpy as np
import pytest

from dreamer_tf import envs
from dreamer_tf.envs.atari import Atari

SCREEN = (210, 160)
FIRE = 1
PLAIN = {"sticky_actions": 0.0, "noops": 0}


def play(env, seed, steps, action=None):
    """Rows of an episode, at most so many, with random actions or always the same one."""
    rng = np.random.default_rng(seed)
    rows = [env.reset(seed)]
    while len(rows) <= steps and not rows[-1]["is_last"]:
        chosen = env.act_space["action"].sample(rng) if action is None else np.int32(action)
        rows.append(env.step({"action": chosen}))
    return rows


def same(rows, others):
    return len(rows) == len(others) and all(
        np.array_equal(row[key], other[key])
        for row, other in zip(rows, others, strict=True)
        for key in row
    )


def test_spaces():
    env = envs.make("atari_breakout", image_size=(32, 48), action_repeat=4)
    assert env.obs_space["image"].shape == (32, 48, 3) and env.frames_per_step == 4
    assert env.act_space["action"].classes == 4
    row = env.reset(0)
    assert (row["is_first"], row["is_last"], row["reward"]) == (True, False, 0)
    full = envs.make("atari_breakout", atari={"all_actions": True, "grayscale": True})
    assert full.act_space["action"].classes == 18
    image = full.reset(0)["image"]
    assert image.shape == (64, 64, 1) and image.dtype == np.uint8 and image.std() > 10


# Resetting the emulator alone does not repeat assault, restoring its state alone not qbert.
@pytest.mark.parametrize("name", ["assault", "qbert"])
def test_seed_and_actions_give_the_episode_whatever_was_played_before(name):
    used, fresh = Atari(name, action_repeat=4), Atari(name, action_repeat=4)
    play(used, 1, 60)
    play(used, 2, 5)
    expected = play(fresh, 3, 40)
    assert same(play(used, 3, 40), expected)
    assert not same(play(used, 4, 40), expected)


def test_a_step_sums_rewards_and_shows_the_brighter_of_the_last_two_frames():
    single = Atari("assault", image_size=SCREEN, action_repeat=1, **PLAIN)
    repeated = Atari("assault", image_size=SCREEN, action_repeat=4, **PLAIN)
    single.reset(0)
    repeated.reset(0)
    rng, total = np.random.default_rng(0), 0.0
    flickering = False
    for _ in range(60):
        action = {"action": single.act_space["action"].sample(rng)}
        rewards, frames = [], []
        for _ in range(4):
            rewards.append(single.step(action)["reward"])
            frames.append(single.render())
        row = repeated.step(action)
        np.testing.assert_array_equal(row["image"], np.maximum(frames[2], frames[3]))
        assert row["reward"] == sum(rewards)
        flickering |= not np.array_equal(row["image"], frames[3])
        total += sum(rewards)
    assert flickering and total > 0


def test_sticky_actions_go_on_as_often_as_they_should():
    sticky = Atari("breakout", sticky_actions=0.25, noops=0)
    plain = Atari("breakout", **PLAIN)
    sticky.reset(5)
    plain.reset(5)
    draws, rng = np.random.default_rng(5), np.random.default_rng(0)
    running, repeats = 0, 0
    for _ in range(400):
        chosen = sticky.act_space["action"].sample(rng)
        goes_on = draws.random() < 0.25
        running, repeats = (running if goes_on else chosen), repeats + goes_on
        row, expected = sticky.step({"action": chosen}), plain.step({"action": running})
        np.testing.assert_array_equal(row["image"], expected["image"])
        if row["is_last"]:
            break
    assert 0.15 < repeats / 400 < 0.35
    stuck, idle = Atari("breakout", sticky_actions=1.0, noops=0), Atari("breakout", **PLAIN)
    assert same(play(stuck, 0, 30, FIRE), play(idle, 0, 30, 0))


def test_a_lost_life_ends_an_episode_only_where_it_should():
    options = {"action_repeat": 4, "atari": PLAIN | {"end_on_life_loss": True}}
    training = play(envs.make("atari_breakout", **options), 0, 2000, FIRE)
    evaluation = play(envs.make("atari_breakout", evaluation=True, **options), 0, 2000, FIRE)
    for rows in (training, evaluation):
        assert rows[-1]["is_last"] and rows[-1]["is_terminal"]
    # Breakout has five lives, and whoever only serves loses them in turn.
    assert len(training) < len(evaluation) / 3
    assert same(training[:-1], evaluation[: len(training) - 1])


def test_the_next_episode_after_a_lost_life_is_a_new_game():
    env = Atari("breakout", action_repeat=4, end_on_life_loss=True, **PLAIN)
    first = play(env, 0, 2000, FIRE)
    assert first[-1]["is_last"]
    assert same(play(env, 0, 2000, FIRE), first)


def test_a_game_without_lives_ends_when_it_is_over():
    rows = play(Atari("pong", action_repeat=8, end_on_life_loss=True, **PLAIN), 0, 2000, 0)
    assert rows[-1]["is_terminal"] and sum(row["reward"] for row in rows) == -21


def test_the_time_limit_cuts_off_in_frames():
    rows = play(Atari("pong", action_repeat=4, time_limit=10), 0, 20)
    assert [bool(row["is_last"]) for row in rows] == [False, False, False, True]
    assert not any(row["is_terminal"] for row in rows)


def test_episodes_begin_after_some_frames_without_action():
    env = Atari("freeway", image_size=SCREEN, sticky_actions=0.0, noops=30)
    starts = {env.reset(seed)["image"].tobytes() for seed in range(40)}
    assert 15 < len(starts) <= 30
    idle = Atari("freeway", image_size=SCREEN, **PLAIN)
    frames = [row["image"].tobytes() for row in play(idle, 0, 30, 0)]
    assert starts <= set(frames[1:])
    assert {idle.reset(seed)["image"].tobytes() for seed in range(5)} == {frames[0]}


def test_no_episode_begins_with_a_game_that_is_over():
    # Left alone, assault is over after some 600 frames.
    env = Atari("assault", noops=2000, sticky_actions=0.0)
    for seed in range(4):
        rows = play(env, seed, 3, 0)
        assert len(rows) == 4


def test_pictures_are_whole_screens():
    env = Atari("pong", grayscale=True)
    env.reset(0)
    assert env.render().shape == (*SCREEN, 3)


def test_it_runs_in_a_worker_process():
    constructor = lambda: envs.make("atari_pong", action_repeat=4)  # noqa: E731
    reset = np.array([True])
    with envs.VectorEnv([constructor], seed=0, workers="process") as vector_env:
        first = vector_env.step({"action": np.zeros(1, np.int32)}, reset)
        row = vector_env.step({"action": np.ones(1, np.int32)}, ~reset)
    assert first["image"].shape == (1, 64, 64, 3) and not row["is_first"][0]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("atari_pon", "unknown task atari_pon; the nearest names are atari_pong"),
        ("atari_MsPacman", "atari_ms_pacman"),
        ("atari_combat", "cannot play combat"),
        ("atarix_pong", "nearest names are atari"),
    ],
)
def test_unknown_games_name_the_nearest(task, message):
    with pytest.raises(envs.EnvError, match=message):
        envs.make(task)


def test_james_bond_may_be_written_as_in_the_papers():
    assert Atari("james_bond").act_space == Atari("jamesbond").act_space


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(envs.EnvError, match=r"needs the package ale-py.*pip install .*\[atari\]"):
        envs.make("atari_pong")
