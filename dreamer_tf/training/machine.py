"""The computer that a program runs on."""

import pathlib
import platform

import psutil


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


def _cpu_name():
    path = pathlib.Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor()
