"""dm_control tasks from state, in this process, where nothing is rendered."""

import functools
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dreamer_tf import envs
from dreamer_tf.envs.dmc import DMControl


def make(name, **options):
    return DMControl(name, observations="state", **options)


def play(env, seed, steps):
    rng = np.random.default_rng(seed)
    rows = [env.reset(seed)]
    for _ in range(steps):
        rows.append(env.step({"action": env.act_space["action"].sample(rng)}))
    return rows


def same(rows, others):
    return all(
        row.keys() == other.keys() and all(np.array_equal(row[key], other[key]) for key in row)
        for row, other in zip(rows, others, strict=True)
    )


# Contacts, a target that moves in the model, and objects placed by rejection sampling.
@pytest.mark.parametrize("name", ["walker_walk", "finger_turn_hard", "manipulator_bring_ball"])
def test_seed_and_actions_give_the_episode_whatever_was_played_before(name):
    used, fresh = make(name, action_repeat=2), make(name, action_repeat=2)
    play(used, 1, 30)
    play(used, 2, 5)
    expected = play(fresh, 3, 20)
    assert same(play(used, 3, 20), expected)
    assert not same(play(used, 4, 20), expected)


def test_action_repeat_sums_rewards_and_shows_the_last_frame():
    single, double = make("cheetah_run"), make("cheetah_run", action_repeat=2)
    single.reset(0)
    double.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = {"action": single.act_space["action"].sample(rng)}
        first, second, both = single.step(action), single.step(action), double.step(action)
        assert both["reward"] == pytest.approx(first["reward"] + second["reward"], rel=1e-6)
        np.testing.assert_array_equal(both["velocity"], second["velocity"])
    assert double.frames_per_step == 2
    assert both["reward"] > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cartpole_swingup", 8),
        ("reacher_easy", 4),
        ("cheetah_run", 4),
        ("finger_spin", 2),
        ("cup_catch", 4),
        ("walker_walk", 2),
        ("pendulum_swingup", 2),
    ],
)
def test_action_repeat_zero_is_planets_choice(name, expected):
    env = make(name, action_repeat=0, time_limit=2 * expected)
    assert env.frames_per_step == expected
    assert [row["is_last"] for row in play(env, 0, 2)] == [False, False, True]


def test_time_limit_cuts_off_in_frames_also_between_repeats():
    env = make("cartpole_balance", action_repeat=2, time_limit=7)
    rows = play(env, 0, 4)
    assert [bool(row["is_last"]) for row in rows] == [False, False, False, False, True]
    assert not any(row["is_terminal"] for row in rows)
    full, last = rows[1]["reward"], rows[4]["reward"]
    assert full > 1.5 and last < 1.01, "the last step has one frame, balance pays about 1 for each"


def test_the_end_of_a_suite_task_is_a_cut_not_a_termination():
    rows = play(make("pendulum_swingup", action_repeat=4), 0, 250)
    assert rows[-1]["is_last"] and not rows[-1]["is_terminal"]
    assert not any(row["is_last"] for row in rows[:-1])


def test_an_end_with_discount_zero_is_terminal():
    env = make("pendulum_swingup", action_repeat=2)
    env.reset(0)
    env._env.task.get_termination = lambda physics: 0.0
    row = env.step({"action": np.zeros(1, np.float32)})
    assert row["is_last"] and row["is_terminal"]


def test_observations_are_float32_vectors_of_their_spaces():
    env = envs.make("dmc_walker_walk", observations="state")
    row = env.reset(0)
    assert {key: space.shape for key, space in env.obs_space.items()} == {
        "orientations": (14,),
        "height": (1,),  # a scalar in dm_control
        "velocity": (9,),
    }
    for key, space in env.obs_space.items():
        space.check(key, row[key])
    assert (row["is_first"], row["is_last"], row["reward"]) == (True, False, 0)
    assert make("manipulator_bring_ball").obs_space["arm_pos"].shape == (16,)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1, 1, width=32), min_size=12, max_size=12))
def test_actions_reach_the_actuators_scaled_to_their_bounds(values):
    env = _quadruped()
    env.reset(0)
    env.step({"action": np.array(values, np.float32)})
    spec = env._env.action_spec()
    control = env._env.physics.control()
    assert (control >= spec.minimum).all() and (control <= spec.maximum).all()
    back = 2 * (control - spec.minimum) / (spec.maximum - spec.minimum) - 1
    np.testing.assert_allclose(back, np.float32(values), atol=1e-6)
    assert spec.maximum.max() > 1, "quadruped's bounds are not -1 to 1 already"


@functools.cache
def _quadruped():
    return make("quadruped_walk")


def test_task_names():
    assert make("cup_catch").obs_space == make("ball_in_cup_catch").obs_space
    assert make("humanoid_CMU_run").act_space["action"].shape == (56,)
    assert make("point_mass_easy").act_space["action"].shape == (2,)


@pytest.mark.parametrize(
    ("task", "suggestion"),
    [
        ("dmc_walker_wlk", "dmc_walker_walk"),
        ("dmc_ballincup_catch", "dmc_ball_in_cup_catch"),
        ("dcm_walker_walk", "nearest names are dmc"),
    ],
)
def test_unknown_tasks_name_the_nearest(task, suggestion):
    with pytest.raises(envs.EnvError, match=suggestion):
        envs.make(task, observations="state")


def test_wrong_options_say_what_is_possible():
    with pytest.raises(envs.EnvError, match="pixels, state, both, got 'pixel'"):
        DMControl("walker_walk", observations="pixel")
    with pytest.raises(envs.EnvError, match="cameras 0 to 1, got camera 2"):
        make("walker_walk", camera=2)
    with pytest.raises(envs.EnvError, match="no bounds"):
        make("lqr_lqr_2_1")
    with pytest.raises(envs.EnvError, match="action_repeat must be at least 1, got -1"):
        make("walker_walk", action_repeat=-1)
    with pytest.raises(envs.EnvError, match="got 0; .* only dm_control tasks"):
        envs.make("gymnasium_Pendulum-v1", action_repeat=0)


@pytest.mark.skipif(
    "MUJOCO_GL" in os.environ or "DISPLAY" in os.environ, reason="the user chose a backend"
)
def test_state_tasks_load_no_gl_into_a_process_that_may_hold_tensorflow():
    assert "MUJOCO_GL" not in os.environ, "an earlier test rendered here"
    with pytest.raises(envs.EnvError, match="Outside of worker processes"):
        make("cartpole_balance").render()
