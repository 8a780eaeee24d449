"""Freed memory stays in the process, and notices out of sight."""

import os
import signal
import subprocess
import sys

import pytest

from dreamer_tf.runs import machine

SCRIPT = """
import sys
import numpy as np
from dreamer_tf.runs.machine import keep_freed_memory

def faults():
    with open("/proc/self/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[7])

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(2):
    np.ones(64 << 20, np.uint8)
before = faults()
for _ in range(5):
    np.ones(64 << 20, np.uint8)
print(faults() - before)
"""


def page_faults(mode):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, mode], capture_output=True, text=True, check=True
    )
    return int(result.stdout)


def test_large_blocks_are_used_again_without_page_faults():
    assert page_faults("keep") < 100
    # What it is for: the default maps, and the system clears, every block anew. Systems with huge
    # pages need fewer faults for it, but never as few.
    assert page_faults("default") > page_faults("keep")


_LOUD = """
import os, sys
from dreamer_tf.runs.machine import quiet_tensorflow, start_tensorflow
quiet_tensorflow()
start_tensorflow()
import tensorflow as tf
tf.config.list_physical_devices("GPU")
tf.function(lambda x: 2 * x)(tf.ones(3))
sys.path.append("a missing module is a real error")
import nothing_of_this_name
"""


def test_tensorflow_starts_without_a_line_and_errors_are_seen():
    named = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")
    environment = {name: value for name, value in os.environ.items() if name not in named}
    done = subprocess.run(
        [sys.executable, "-c", _LOUD], capture_output=True, text=True, env=environment
    )
    lines = done.stderr.splitlines()
    assert lines[0].startswith("Traceback") and "nothing_of_this_name" in lines[-1]


_ABORTING = """
import ctypes, os
libc = ctypes.CDLL(None)
stderr = ctypes.c_void_p.in_dll(libc, "stderr")
libc.fputs(b"oneDNN custom operations are on\\n", stderr)
libc.fputs(b"this processor lacks AVX\\n", stderr)
libc.abort()
"""


def test_why_tensorflow_aborts_the_process_is_seen(tmp_path):
    (tmp_path / "tensorflow.py").write_text(_ABORTING)
    code = "from dreamer_tf.runs.machine import start_tensorflow; start_tensorflow()"
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.returncode == -signal.SIGABRT
    assert "this processor lacks AVX" in done.stderr and "oneDNN" not in done.stderr


_KERAS = """
import sys
from dreamer_tf.runs.machine import start_tensorflow
start_tensorflow()
import keras
print(keras.backend.backend())
keras.backend.backend = lambda: "jax"  # As if it had been loaded before.
start_tensorflow()
"""


def test_keras_computes_with_tensorflow_whatever_another_project_chose():
    environment = os.environ | {"KERAS_BACKEND": "jax"}
    done = subprocess.run(
        [sys.executable, "-c", _KERAS], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip() == "tensorflow"
    assert "Keras runs on jax in this process" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("own", [None, "0"])
def test_what_the_user_says_about_notices_stays(monkeypatch, own):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", own or "")
    if own is None:
        monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    machine.quiet_tensorflow()
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == (own or "2")


_THREADS = """
from dreamer_tf.runs.machine import start_tensorflow
start_tensorflow(1)
import tensorflow as tf
count = tf.config.threading.get_intra_op_parallelism_threads
first = count()
tf.ones(3) + 1
start_tensorflow(1)
start_tensorflow(0)
start_tensorflow()
print(first, count())
"""


def test_operations_have_the_threads_that_were_set_before_the_first_one():
    result = subprocess.run(
        [sys.executable, "-c", _THREADS], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["1", "1"]
