"""A training run of the counting agent, as a program to be stopped and killed.

``python -m tests.training.trainer_process RUN_FOLDER STEPS SECONDS_PER_UPDATE``
"""

import sys
import time

import dreamer_tf
from dreamer_tf.apps import commands
from dreamer_tf.training import session
from tests.training.conftest import SMALL
from tests.training.counting_agent import CountingAgent, SeededEnv


def main():
    """Trains; ends with the exit code of the ``train`` command."""
    folder, steps, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    make_agent = session.make_agent

    class SlowAgent(CountingAgent):
        def train_step(self, batch, carry):
            if seconds > 1:
                print("a long update begins", flush=True)
            time.sleep(seconds)
            return super().train_step(batch, carry)

    def make(config, obs_space, act_space, kind=None):
        del kind
        make = make_agent if config.agent == "random" else SlowAgent
        return make(config, obs_space, act_space)

    session.make_agent = make
    options = SMALL | {"run.checkpoint_every": 0.2, "run.eval_every": 0, "run.log_every": 100}
    with commands.exit_codes():
        dreamer_tf.train(SeededEnv, logdir=folder, steps=steps, **options)


if __name__ == "__main__":
    main()
