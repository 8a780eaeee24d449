"""What is filmed of an evaluation; ``test_loop.py`` has the runs that are evaluated."""

import numpy as np
import pytest

from dreamer_tf.envs import EnvDied, EnvError, VectorEnv
from dreamer_tf.specs import Space
from dreamer_tf.training import evaluation
from dreamer_tf.training.evaluation import Evaluator, Recorder, make_recorder, play_episodes
from tests.counting import CountingEnv


@pytest.mark.parametrize("image", [True, False])
def test_the_first_episode_of_the_first_environment_is_filmed(image):
    make = [lambda: CountingEnv(4, image=image), lambda: CountingEnv(2, image=image)]
    with VectorEnv(make, seed=0, workers="inline") as envs:
        recorder = make_recorder(envs, can_render=True)

        def policy(arrived, state):
            return {"action": np.zeros((2, 2), np.float32)}, state

        episodes = play_episodes(envs, policy, 4, recorder=recorder)
    assert [frame[0, 0, 0] for frame in recorder.frames] == [0, 1, 2, 3, 4]
    # Each plays its share, though the second could have played more by then.
    assert [episode.stream for episode in episodes] == [0, 0, 1, 1]


class Small(CountingEnv):
    """Shows the agent small images, and people larger pictures, if any."""

    draws = True

    def render(self):
        if not self.draws:
            raise EnvError("draws no pictures")
        return np.repeat(np.repeat(self.small(), 4, axis=0), 4, axis=1)

    def small(self):
        return np.full((16, 16, 3), self._count, np.uint8)

    @property
    def obs_space(self):
        return {**super().obs_space, "image": Space(np.uint8, (16, 16, 3))}

    def _observe(self, action):
        return {**super()._observe(action), "image": self.small()}


class Undrawn(Small):
    """Shows people nothing."""

    draws = False


@pytest.mark.parametrize(
    ("make", "can_render", "side"), [(Small, True, 64), (Small, False, 16), (Undrawn, True, 16)]
)
def test_what_is_rendered_for_people_is_filmed_where_it_is_larger(make, can_render, side):
    with VectorEnv([lambda: make(3)], seed=0, workers="inline") as envs:
        recorder = make_recorder(envs, can_render=can_render)
        policy = lambda arrived, state: ({"action": np.zeros((1, 2), np.float32)}, state)  # noqa: E731
        play_episodes(envs, policy, 1, recorder=recorder)
    assert [frame.shape for frame in recorder.frames] == [(side, side, 3)] * 4
    assert [frame[0, 0, 0] for frame in recorder.frames] == [0, 1, 2, 3]


def test_without_images_and_rendering_there_is_no_recorder():
    with VectorEnv([CountingEnv], seed=0, workers="inline") as envs:
        assert make_recorder(envs, can_render=False) is None


def test_a_recorder_keeps_a_copy():
    picture = np.zeros((2, 2, 3), np.uint8)
    recorder = Recorder(lambda row: picture)
    recorder({"is_last": False}, 0)
    picture[:] = 9
    recorder({"is_last": True}, 0)
    recorder({"is_last": False}, 0)
    assert [frame.max() for frame in recorder.frames] == [0, 9]


@pytest.mark.parametrize(("rows", "every"), [(8, 1), (9, 2), (33, 8)])
def test_the_film_of_a_long_episode_keeps_its_pace_and_bounds(rows, every, monkeypatch):
    monkeypatch.setattr(evaluation, "_MOST_PICTURES", 9)
    drawn = []
    recorder = Recorder(lambda row: drawn.append(row) or np.full((2, 2, 3), row["row"], np.uint8))
    for row in range(rows):
        recorder({"is_first": row == 0, "is_last": row == rows - 1, "row": row}, 0)
    shown = [frame[0, 0, 0] for frame in recorder.frames]
    assert shown == list(range(0, rows, every)) and len(shown) <= 9
    assert len(drawn) < rows or every < 4  # Those that are left out are not drawn either.
    recorder = Recorder(lambda row: np.zeros((2, 2, 3), np.uint8))
    monkeypatch.setattr(evaluation, "_MOST_BYTES", 4 * 12)
    for row in range(20):
        recorder({"is_first": row == 0, "is_last": False, "row": row}, 0)
    assert len(recorder.frames) < 4


def test_a_crash_of_an_environment_whose_share_is_played_does_not_count():
    class Dying(CountingEnv):
        def step(self, action):
            if self._count == 2:
                raise EnvDied("gone")
            return super().step(action)

    with VectorEnv([lambda: CountingEnv(9), Dying], seed=0, workers="inline") as envs:
        policy = lambda arrived, state: ({"action": np.zeros((2, 2), np.float32)}, state)  # noqa: E731
        played = play_episodes(envs, policy, 1)
    assert len(played) == 1 and played.crashed == 0


@pytest.mark.parametrize("image", [False, True])
def test_an_environment_that_cannot_draw_is_asked_once(caplog, image):
    asked = []

    class Blind(CountingEnv):
        looks = False

        def _observe(self, action):
            self.looks = True
            obs = super()._observe(action)
            self.looks = False
            return obs

        def render(self):
            if self.looks:
                return super().render()
            asked.append(self)
            raise ModuleNotFoundError("No module named 'pygame'")

    def policy(arrived, state):
        return {"action": np.zeros((1, 2), np.float32)}, state

    make = lambda: VectorEnv([lambda: Blind(image=image)], seed=0, workers="inline")  # noqa: E731
    evaluator = Evaluator(make, 1, 2)
    returns = []
    for _ in range(3):
        metrics, recorder, _ = evaluator.play(
            policy, lambda envs, draws: make_recorder(envs, can_render=draws), lambda: False
        )
        returns.append(metrics["eval/return"])
        if image:
            assert len(recorder.frames) == 6 and recorder.frames[0].shape[-1] == 3
        else:
            assert recorder is None or not recorder.frames
    evaluator.close()
    assert returns == [15.0] * 3 and len(asked) == 1
    instead = "a video of what the agent sees" if image else "no video"
    assert caplog.text.count(f"{instead}, because the environment draws no picture") == 1
