"""Which OpenGL backend MuJoCo renders with.

MuJoCo and dm_control read ``MUJOCO_GL`` once, when they are imported, so the choice is made
before. What the user set stays. ``rendering.py`` tries it.
"""

import contextlib
import ctypes
import ctypes.util
import logging
import os
import subprocess
import sys

logger = logging.getLogger(__name__)

ADVICE = (
    "Off-screen rendering needs one system library. Debian and Ubuntu: "
    "apt-get install libegl1 libgl1-mesa-dri (EGL), or libosmesa6 (OSMesa). "
    "MUJOCO_GL=egl, osmesa or glfw chooses one of them; glfw draws on the display of DISPLAY."
)

_OFF_SCREEN = ("egl", "osmesa")
_EGL_PLATFORM_DEVICE = 0x313F
_MOST_DEVICES = 32


def choose():
    """Sets ``MUJOCO_GL`` for an environment's own process, before MuJoCo is imported.

    What the user set stays, and on another system than Linux MuJoCo's own choice. Otherwise EGL is
    taken if it works, then OSMesa, also beside a display: ``DISPLAY`` may lead nowhere, and nothing
    is shown there anyway. Without either, a display has MuJoCo's choice, and without one rendering
    is switched off, which tasks without images do not notice.
    """
    if _is_decided():
        return
    backend = find_backend_apart()
    if backend or not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = backend or "disabled"


@contextlib.contextmanager
def chosen(rendering):
    """Chooses the backend in any process; MuJoCo is to be imported inside this context.

    As `choose`, but where no images are needed MuJoCo is imported without rendering: a
    software GL and TensorFlow in one process end in a segmentation fault, because both bind to
    the same LLVM symbols. Beside TensorFlow that holds for ``MUJOCO_GL=egl`` and ``osmesa`` of
    the user too, which MuJoCo would load whether anybody renders or not. Worker processes have
    chosen before.

    Args:
      rendering: Whether images are needed.

    Raises:
      EnvError: If images are needed and no backend works; says what to install.
    """
    if rendering and "tensorflow" in sys.modules and "mujoco" not in sys.modules:
        logger.warning(
            "Rendering in the same process as TensorFlow: with a software GL this is known to end "
            "in a segmentation fault. Use workers='process'."
        )
    users = os.environ.get("MUJOCO_GL")
    is_safe = rendering or "tensorflow" not in sys.modules or users not in _OFF_SCREEN
    if _is_decided() and is_safe:
        yield
        return
    backend = find_backend() if rendering else "disabled"
    if backend is None:
        if os.environ.get("DISPLAY"):
            yield
            return
        from dreamer_tf.envs.errors import EnvError  # A script on its own has no package.

        raise EnvError(f"no OpenGL library for rendering was found. {ADVICE}")
    os.environ["MUJOCO_GL"] = backend
    try:
        yield
    finally:
        if not rendering:  # Child processes may still render.
            del os.environ["MUJOCO_GL"]
            if users is not None:
                os.environ["MUJOCO_GL"] = users


def _is_decided():
    return bool(os.environ.get("MUJOCO_GL")) or sys.platform != "linux"


def find_backend():
    """The off-screen backend that works here: ``egl``, ``osmesa`` or None."""
    if _egl_works():
        return "egl"
    if ctypes.util.find_library("OSMesa"):
        return "osmesa"
    return None


def find_backend_apart():
    """`find_backend` in a process of its own, this file as a script.

    What was tried stays loaded, and an environment may import TensorFlow, see `chosen`.
    """
    command = [sys.executable, "-IS", __file__]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    return found.stdout.strip() or None


def _egl_works():
    """Whether some device gives an EGL display, as MuJoCo will ask for it."""
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    egl.eglInitialize.argtypes = [ctypes.c_void_p] * 3
    query_address = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    display_address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query_address or not display_address:
        return False
    devices = (ctypes.c_void_p * _MOST_DEVICES)()
    count = ctypes.c_int(0)
    query = ctypes.CFUNCTYPE(
        ctypes.c_uint, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int)
    )(query_address)
    get_display = ctypes.CFUNCTYPE(
        ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p
    )(display_address)
    if not query(_MOST_DEVICES, devices, count):
        return False
    displays = (get_display(_EGL_PLATFORM_DEVICE, devices[i], None) for i in range(count.value))
    return any(display and egl.eglInitialize(display, None, None) for display in displays)


if __name__ == "__main__":
    print(find_backend() or "")
