"""The computer and the process that a program runs in: what they are, and how they are kept."""

import contextlib
import ctypes
import logging
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import psutil

_LOGGER = logging.getLogger(__name__)

# Parameter numbers of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_GROW_BY = 64 << 20
_NEVER_TRIM = 2**31 - 1
_BY_LINE = 1  # of C's setvbuf
_STDERR = 2
_NOTICES = (
    "All log messages before absl|Could not find cuda drivers|cuInit: UNKNOWN ERROR .303."
    "|oneDNN custom operations are on"
)


def machine():
    """Describes this computer.

    Returns:
      Dict of JSON values: ``platform``, ``python``, ``cpu``, ``cores``, ``usable_cores`` (those
      that this process may use), ``memory_bytes`` and ``gpus``, the names of those that TensorFlow
      sees.
    """
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(device) for device in devices]
    process = psutil.Process()
    cores = psutil.cpu_count()
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpu": _cpu_name(),
        "cores": cores,
        # macOS has no affinity.
        "usable_cores": len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else cores,
        "memory_bytes": psutil.virtual_memory().total,
        "gpus": [detail.get("device_name", "unnamed") for detail in details],
    }


def quiet_tensorflow():
    """Keeps TensorFlow's notices out of sight, its errors not; call it before the import.

    What the caller's environment says already, such as ``TF_CPP_MIN_LOG_LEVEL=0``, stays.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def start_tensorflow(op_threads=None):
    """Imports TensorFlow and looks for GPUs, which tells of a missing driver at any log level.

    Unless ``TF_CPP_MIN_LOG_LEVEL`` asks for notices, these are dropped, and all else that it says
    is passed on. Only its own C stream is turned aside: what Python and other
    processes write to stderr is not.

    Args:
      op_threads: How many threads share one operation; 0: one a core; None: as it is. TensorFlow
        takes it before its first operation alone: in a program that trains for the second time
        they stay as they are.

    Raises:
      ImportError: If Keras is loaded, and computes with another library.
    """
    _import_tensorflow()
    keras = sys.modules.get("keras")
    backend = keras.backend.backend() if keras else "tensorflow"
    if backend != "tensorflow":
        raise ImportError(
            f"Keras runs on {backend} in this process, and dreamer_tf needs it on tensorflow: "
            f"import dreamer_tf before keras"
        )
    if op_threads is not None:
        import tensorflow as tf

        try:
            tf.config.threading.set_intra_op_parallelism_threads(op_threads)
        except RuntimeError:
            _LOGGER.info("TensorFlow runs already: op_threads %d is not heeded", op_threads)


def _import_tensorflow():
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    grep = shutil.which("grep")
    if "tensorflow" in sys.modules or level < "2" or sys.platform != "linux" or grep is None:
        return
    library = ctypes.CDLL(None)
    library.fdopen.restype = ctypes.c_void_p
    stderr = ctypes.c_void_p.in_dll(library, "stderr")
    # A process of its own: it passes on why this one is aborted, if it is.
    command = [grep, "-vE", _NOTICES]
    passing = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=_STDERR)
    descriptor = os.dup(passing.stdin.fileno())
    passing.stdin.close()
    own, aside = stderr.value, library.fdopen(descriptor, b"w")
    library.setvbuf(ctypes.c_void_p(aside), None, _BY_LINE, ctypes.c_size_t(0))
    stderr.value = aside
    try:
        import tensorflow as tf

        tf.config.list_physical_devices("GPU")
    finally:
        stderr.value = own
        library.fflush(ctypes.c_void_p(aside))
        # TensorFlow may keep this stream for good: it stays, and leads to stderr from here on.
        os.dup2(_STDERR, descriptor, inheritable=False)
        passing.wait()


def _cpu_name():
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor()


def keep_freed_memory():
    """Tells glibc not to give large freed blocks back to the operating system.

    An update allocates and frees gigabytes of activations. By default each large block is mapped
    afresh, and the system clears it page by page when it is first touched: at 50 × 50 images of
    64×64 pixels the convolutions then take twice as long. The process keeps its peak size instead.

    Returns:
      Whether the allocator understood; elsewhere than on glibc nothing is changed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        _LOGGER.info("the C library has no mallopt: large blocks are mapped afresh")
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _NEVER_TRIM, _TOP_PAD: _GROW_BY}
    return all([mallopt(key, value) == 1 for key, value in settings.items()])


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Afterwards Python's and NumPy's generators go on as if nothing had been drawn inside."""
    states = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
