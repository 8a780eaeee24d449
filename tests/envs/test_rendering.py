"""Pictures; all of them are drawn in worker processes, as in a run."""

import functools
import subprocess
import sys

import numpy as np
import pytest

from dreamer_tf import envs
from tests.envs.rendering import Twice


def play(constructor, steps=3, seed=0):
    with envs.VectorEnv([constructor], seed=seed) as env:
        act_space = env.act_space
        rng = np.random.default_rng(0)
        actions = [{k: s.sample(rng)[None] for k, s in act_space.items()} for _ in range(steps + 1)]
        return [env.step(action, [i == 0]) for i, action in enumerate(actions)]


@pytest.mark.parametrize(("name", "camera"), [("walker_walk", 0), ("cheetah_run", 0)])
@pytest.mark.parametrize("size", [(64, 64), (48, 80)])
def test_full_quality_is_the_default_picture_bit_for_bit(name, camera, size):
    for row in play(functools.partial(Twice, name, camera, image_size=size)):
        assert row["image"].shape == (1, *size, 3)
        assert np.ptp(row["image"]) > 100
        np.testing.assert_array_equal(row["image"], row["reference"])


def test_fast_quality_differs_but_shows_the_same():
    make = functools.partial(Twice, "walker_walk", 0, render="fast")
    for row in play(make):
        difference = np.abs(row["image"].astype(int) - row["reference"])
        assert difference.any()
        assert difference.mean() < 20
        correlation = np.corrcoef(row["image"].ravel(), row["reference"].ravel())[0, 1]
        assert correlation > 0.9


@pytest.mark.parametrize(
    ("observations", "size", "film"),
    [("state", (64, 64), (256, 256)), ("pixels", (32, 48), (192, 288))],
)
def test_people_see_larger_pictures_than_agents(observations, size, film):
    options = {"observations": observations, "image_size": size, "render": "fast"}
    make = functools.partial(envs.make, "dmc_cartpole_balance", action_repeat=8, **options)
    with envs.VectorEnv([make], seed=0) as env:
        row = env.step({"action": np.zeros((1, 1), np.float32)}, [True])
        large = env.render(0)
    assert large.shape == (*film, 3) and np.ptp(large) > 100
    if observations == "pixels":
        factor = film[0] // size[0]
        small = large.reshape(size[0], factor, size[1], factor, 3).mean((1, 3))
        assert np.abs(small - row["image"][0]).mean() < 8, "the same scene"


def test_pictures_change_and_earlier_ones_stay():
    make = functools.partial(envs.make, "dmc_cheetah_run", action_repeat=4, render="fast")
    images = [row["image"][0] for row in play(make, steps=5)]
    copies = [image.copy() for image in images]
    assert all((image != images[0]).any() for image in images[1:])
    again = [row["image"][0] for row in play(make, steps=5)]
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(images, copies)


def test_pixels_state_or_both_and_the_usual_cameras():
    options = {"action_repeat": 2, "render": "fast"}
    keys = {}
    for observations in ("pixels", "state", "both"):
        make = functools.partial(
            envs.make, "dmc_cartpole_balance", observations=observations, **options
        )
        with envs.VectorEnv([make], seed=0) as env:
            keys[observations] = set(env.obs_space)
            row = env.step({"action": np.zeros((1, 1), np.float32)}, [True])
            if observations == "state":
                picture = env.render()
            elif observations == "both":
                # People see the same, larger.
                image = row["image"][0]
                assert picture.shape == (256, 256, 3) and image.shape == (64, 64, 3)
                np.testing.assert_allclose(picture.mean((0, 1)), image.mean((0, 1)), atol=3)
    assert keys["pixels"] == {"image"}
    assert keys["state"] == {"position", "velocity"}
    assert keys["both"] == {"image", "position", "velocity"}


def test_quadruped_is_seen_by_its_camera_2():
    for row in play(functools.partial(Twice, "quadruped_walk", 2), steps=1):
        np.testing.assert_array_equal(row["image"], row["reference"])


def test_the_rendering_command_draws_a_frame():
    result = subprocess.run(
        [sys.executable, "-c", "import sys; from dreamer_tf.envs.rendering import main; main(); "
         "assert 'tensorflow' not in sys.modules"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in ("egl", "osmesa", "glfw") or "display" in result.stdout


def test_images_without_a_gl_library_name_the_system_packages(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "disabled")
    with pytest.raises(envs.EnvError, match="cannot render.*libegl1"):
        play(functools.partial(envs.make, "dmc_cartpole_balance"))
