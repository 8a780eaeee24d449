"""The computer that a program runs on: what it is, and how its memory is kept."""

import ctypes
import logging
import os
import pathlib
import platform

import psutil

_LOGGER = logging.getLogger(__name__)

# Parameter numbers of glibc's mallopt (malloc.h).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_GROW_BY = 64 << 20
_NEVER_TRIM = 2**31 - 1


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
    """Keeps TensorFlow's notices out of sight; to be called before it is imported.

    Its errors stay. What the caller's environment says already, such as ``TF_CPP_MIN_LOG_LEVEL=0``,
    stays, too. Where there is no NVIDIA driver, no GPU is looked for: the search would fail with
    lines that look like errors, and which no log level hides.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if not _has_nvidia_driver():
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def _has_nvidia_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


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
