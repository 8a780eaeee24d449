"""Freed memory stays in the process."""

import subprocess
import sys

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
