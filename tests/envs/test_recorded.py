"""Recorded arrays that do not go together, and actions that are not as their space says."""

import types

import gymnasium
import numpy as np
import pytest

from dreamer_tf.envs import EnvError, RecordedEpisodes

SPACES = gymnasium.spaces
SPACE = {
    "observation_space": SPACES.Dict(arm=SPACES.Dict(angle=SPACES.Box(-9, 9, (1,)))),
    "action_space": SPACES.Dict(push=SPACES.Box(-1, 1, (1,)), gear=SPACES.Discrete(3)),
}
STEPS = 4


def recorded(**changed):
    """A dataset whose second episode has some arrays replaced; None: as they are."""
    episode = {
        "observations": {"arm": {"angle": np.zeros((STEPS + 1, 1))}},
        "actions": {"push": np.zeros((STEPS, 1)), "gear": np.zeros(STEPS, int)},
        "rewards": np.zeros(STEPS),
        "terminations": np.arange(STEPS) == STEPS - 1,
        "truncations": np.zeros(STEPS, bool),
    }
    episodes = [types.SimpleNamespace(**(episode | change)) for change in ({}, changed)]
    return types.SimpleNamespace(**SPACE, iterate_episodes=lambda: iter(episodes))


def pushed(values, gear=0):
    actions = {"push": np.reshape(values, (STEPS, 1)), "gear": np.full(STEPS, gear)}
    return list(RecordedEpisodes(recorded(actions=actions)))[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"actions": {"push": np.zeros((STEPS + 1, 1)), "gear": np.zeros(STEPS, int)}},
            "episode 1: 'actions/push': expected 4 entries, got 5\nan episode with 4 rewards has",
        ),
        ({"terminations": np.zeros(STEPS + 1, bool)}, "'terminations': expected 4 .*got 5"),
        ({"truncations": None}, "'truncations': expected 4 entries, got None"),
        ({"terminations": np.bool_(True)}, "'terminations': expected 4 entries, got"),
        (
            {"observations": {"arm": {"angle": np.zeros((STEPS, 1))}}},
            "'observations/arm/angle': expected 5 entries, got 4",
        ),
        ({"rewards": np.zeros(STEPS - 1)}, "an episode with 3 rewards"),
        ({"rewards": None}, "episode 1: expected rewards, got None"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused(changed, message):
    with pytest.raises(EnvError, match=message):
        list(RecordedEpisodes(recorded(**changed)))


def test_lists_do_as_well_and_an_episode_without_steps_is_passed_over():
    lists = {"rewards": [0.0] * STEPS, "terminations": [False] * STEPS}
    assert len(list(RecordedEpisodes(recorded(**lists)))) == 2
    assert len(list(RecordedEpisodes(recorded(rewards=[], actions=None)))) == 1


def test_numbers_between_classes_are_refused():
    assert pushed(np.zeros(STEPS), gear=2.0)[1]["gear"] == 2
    with pytest.raises(EnvError, match=r"'gear': expected whole numbers.*0 to 2.*got 0\.5"):
        pushed(np.zeros(STEPS), gear=0.5)


def test_actions_that_are_cut_are_told_once(caplog):
    rows = pushed([0, 1.0005, -1.0005, 1])
    assert [row["push"].item() for row in rows] == [0, 0, 1, -1, 1] and not caplog.records
    rows = pushed([0, 2, -2, 1])
    assert [row["push"].item() for row in rows] == [0, 0, 1, -1, 1]
    [record] = caplog.records
    assert "'push': actions from 2 to 2 leave Space(float32, (1,), -1 to 1)" in record.message
