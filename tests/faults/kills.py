"""Kills runs of real agents again and again, and looks at what is left each time.

``nice -n 19 python -m tests.faults.kills FOLDER --kills 100 --seed 0`` repeats the same choices of
agents and moments; the moments themselves depend on the machine. One folder for each agent.
Trainers are forked from a process that has loaded TensorFlow already, because loading takes longer
than all else that happens here.
"""

import argparse
import collections
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import time

from tests.faults import folders, trainer

AGENTS = ("dreamerv3", "dreamer", "planet", "dreamerv2")
ENDLESS = 10**9
_READY = 300  # Seconds that a trainer may need to reach a phase.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["dreamer_tf.agents", "dreamer_tf.training.loop"])


class Trainer:
    """A trainer in a process of its own.

    Attributes:
      output: Path of a file with what it prints.
    """

    def __init__(self, folder, agent, steps=ENDLESS, environ=(), **options):
        """Starts it.

        Args:
          folder: Run folder.
          agent: Name of the agent.
          steps: env_frames.
          environ: Dict of variables of its environment; ``FILE_LIMIT`` are the two arguments of
            `trainer.limit_files`.
          **options: Of the run, see `trainer.OPTIONS`.
        """
        self._phase = folder.with_name(f"{folder.name}.phase")
        self._phase.write_bytes(trainer.PHASES["start"])
        self.output = folder.with_name(f"{folder.name}.log")
        arguments = (self.output, dict(environ), folder, agent, steps, self._phase, options)
        self._process = _FORKS.Process(target=_train, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    @property
    def phase(self):
        """Name of what it does at the moment."""
        names = {byte: name for name, byte in trainer.PHASES.items()}
        return names.get(self._phase.read_bytes(), "start")

    def wait_for(self, phase):
        """Waits until it does something; fails if it ends before."""
        deadline = time.monotonic() + _READY
        while self.phase != phase:
            assert not self.ended(), f"the trainer ended by itself:\n{self.output.read_text()}"
            assert time.monotonic() < deadline, f"no {phase} within {_READY} seconds"
            time.sleep(0.002)

    def ended(self):
        """Whether it has ended."""
        return self._process.exitcode is not None

    def kill(self, number=signal.SIGKILL):
        """Kills it; returns what it did then. Fails if a process of it is left."""
        phase, started = self.phase, folders.descendants(self.pid)
        os.kill(self.pid, number)
        self._process.join()
        deadline = time.monotonic() + 20
        while left := folders.living(started):
            assert time.monotonic() < deadline, f"processes {left} outlive the trainer"
            time.sleep(0.02)
        return phase

    def end(self, seconds=None):
        """Waits for its end; returns the exit code."""
        self._process.join(seconds)
        return self._process.exitcode


def _train(output, environ, folder, agent, steps, phase, options):
    os.environ.update(environ)
    if "FILE_LIMIT" in environ:
        trainer.limit_files(*map(int, environ["FILE_LIMIT"].split(",")))
    with output.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    from dreamer_tf.apps import commands

    with commands.exit_codes():
        trainer.train(folder, agent, steps, phase, **options)


def kill_again_and_again(root, kills, seed, agents=AGENTS, tell=print, **options):
    """Kills trainers at random moments of what they do, checks each time, and lets them end.

    Args:
      root: Folder for the run folders.
      kills: How many.
      seed: Decides the agents and the moments.
      agents: Names; each has a run folder.
      tell: Function of a line of text.
      **options: Of the runs.

    Returns:
      Dict of what was going on to the number of kills then.
    """
    rng, phases, known = random.Random(seed), collections.Counter(), {}
    for number in range(kills):
        agent = agents[number % len(agents)]
        folder = root / agent
        wanted = rng.choice(list(trainer.PHASES))
        running = Trainer(folder, agent, **options)
        if wanted != "start":
            running.wait_for(wanted)
        time.sleep(rng.expovariate(1 / 0.5) if wanted == "start" else rng.expovariate(1 / 0.1))
        assert not running.ended(), f"ended by itself:\n{running.output.read_text()}"
        phase = running.kill()
        phases[phase] += 1
        known[agent] = folders.check(folder, known.get(agent))
        state = known[agent]["state"]
        frames = state["counters"]["env_frames"] if state else 0
        tell(
            f"{number + 1} {agent} killed in {phase}, checkpoint at {frames} frames, as it must be"
        )
    for agent in agents[:kills]:
        folder = root / agent
        frames = max((line["step"] for line in folders.metrics(folder)), default=0) + 100
        running = Trainer(folder, agent, frames, **options)
        assert running.end() == 0, running.output.read_text()
        folders.check(folder, known[agent])
        folders.check_finished(folder)
        tell(f"{agent} continued to {frames} frames: no episode lost, no process or file left")
    return dict(phases)


def main():
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agents", nargs="+", default=AGENTS)
    words = parser.parse_args()
    shutil.rmtree(words.folder, ignore_errors=True)
    words.folder.mkdir(parents=True)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    def tell(text):
        print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)

    phases = kill_again_and_again(words.folder, words.kills, words.seed, words.agents, tell)
    tell(f"{words.kills} kills: " + ", ".join(f"{n} in {name}" for name, n in phases.items()))


if __name__ == "__main__":
    main()
