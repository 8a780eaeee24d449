"""The choice of the OpenGL backend; nothing is loaded into this process."""

import logging
import os
import subprocess
import sys
import types

import pytest

from dreamer_tf.envs import EnvError, gl


@pytest.fixture
def environ(monkeypatch):
    """A Linux without display in which nothing is set."""
    for name in ("MUJOCO_GL", "DISPLAY"):
        monkeypatch.setenv(name, "")  # So that a value set by a test does not outlive it.
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "platform", "linux")
    return monkeypatch


def test_what_the_user_set_stays(environ):
    environ.setenv("MUJOCO_GL", "glfw")
    environ.setattr(gl, "find_backend", lambda: pytest.fail("no need to look"))
    with gl.chosen(rendering=True):
        assert os.environ["MUJOCO_GL"] == "glfw"


@pytest.mark.parametrize("found", ["egl", None])
def test_a_display_has_the_choice_where_nothing_draws_without_one(environ, found):
    environ.setenv("DISPLAY", ":99")  # It may be that of a session that has ended.
    environ.setattr(gl, "find_backend", lambda: found)
    environ.setattr(gl, "find_backend_apart", lambda: found)
    with gl.chosen(rendering=True):
        assert os.environ.get("MUJOCO_GL") == found
    environ.delenv("MUJOCO_GL", raising=False)
    gl.choose()
    assert os.environ.get("MUJOCO_GL") == found


@pytest.mark.parametrize(("egl", "osmesa", "expected"), [
    (True, True, "egl"), (False, True, "osmesa"), (False, False, None),
])  # fmt: skip
def test_egl_before_osmesa(environ, egl, osmesa, expected):
    environ.setattr(gl, "_egl_works", lambda: egl)
    environ.setattr(gl.ctypes.util, "find_library", lambda name: "libOSMesa.so" if osmesa else None)
    assert gl.find_backend() == expected


def test_no_library_names_the_system_packages(environ):
    environ.setattr(gl, "find_backend", lambda: None)
    with pytest.raises(EnvError, match="libegl1 libgl1-mesa-dri.*libosmesa6"), gl.chosen(True):
        pytest.fail("nothing to import with")


def test_the_choice_stays_for_rendering_and_ends_without(environ):
    environ.setattr(gl, "find_backend", lambda: "egl")
    with gl.chosen(rendering=False):
        assert os.environ["MUJOCO_GL"] == "disabled"
    assert "MUJOCO_GL" not in os.environ
    with gl.chosen(rendering=True):
        assert os.environ["MUJOCO_GL"] == "egl"
    assert os.environ["MUJOCO_GL"] == "egl"


@pytest.mark.parametrize(("found", "expected"), [("osmesa", "osmesa"), (None, "disabled")])
def test_workers_render_if_they_can(environ, found, expected):
    environ.setattr(gl, "find_backend_apart", lambda: found)
    gl.choose()
    assert os.environ["MUJOCO_GL"] == expected
    environ.setattr(gl, "find_backend_apart", lambda: "egl")
    gl.choose()
    assert os.environ["MUJOCO_GL"] == expected, "what is set stays"


def test_a_process_apart_finds_what_this_one_would():
    words = [sys.executable, "-c", "from dreamer_tf.envs import gl; print(gl.find_backend())"]
    here = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    assert str(gl.find_backend_apart()) == here


def test_rendering_beside_tensorflow_is_said(environ, caplog):
    environ.setattr(gl, "find_backend", lambda: "egl")
    environ.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    environ.delitem(sys.modules, "mujoco", raising=False)
    with caplog.at_level(logging.WARNING), gl.chosen(rendering=True):
        pass
    assert "segmentation fault" in caplog.text


@pytest.mark.parametrize("users", ["egl", "osmesa"])
def test_beside_tensorflow_no_gl_is_loaded_that_nobody_draws_with(environ, users):
    environ.setenv("MUJOCO_GL", users)
    environ.delitem(sys.modules, "tensorflow", raising=False)
    with gl.chosen(rendering=False):
        assert os.environ["MUJOCO_GL"] == users, "a worker process may still draw a video"
    environ.setitem(sys.modules, "tensorflow", types.ModuleType("tensorflow"))
    with gl.chosen(rendering=False):
        assert os.environ["MUJOCO_GL"] == "disabled"
    assert os.environ["MUJOCO_GL"] == users


def test_a_state_task_beside_tensorflow_ends_in_order_whatever_mujoco_gl_says():
    code = (
        "import tensorflow; from dreamer_tf import envs; "
        "envs.make('dmc_cartpole_balance', observations='state').reset(0)"
    )
    environ = {**os.environ, "MUJOCO_GL": "egl"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
