"""One trainer for one run folder."""

import os
import signal
import subprocess
import sys

import pytest

from dreamer_tf.runs.errors import RunFolderInUse
from dreamer_tf.runs.run_folder import RunFolderLock

HOLD = """
import sys, time
from dreamer_tf.runs.run_folder import RunFolderLock
with RunFolderLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_trainer_is_refused_until_the_first_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        message = f"in use by process {holder.pid} on "
        with pytest.raises(RunFolderInUse, match=message), RunFolderLock(tmp_path):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with RunFolderLock(tmp_path):
        pass


def test_the_lock_names_its_present_holder_and_can_be_taken_again(tmp_path):
    for _ in range(2):
        with RunFolderLock(tmp_path / "new"):
            text = (tmp_path / "new" / "trainer.lock").read_text()
            assert text.startswith(f"process {os.getpid()} on ")
            with pytest.raises(RunFolderInUse), RunFolderLock(tmp_path / "new"):
                pass
