"""An environment that answers commands, here or (``process.py``) in a process of its own."""

import traceback

from dreamer_tf.envs.base import Env
from dreamer_tf.envs.checks import CheckedEnv
from dreamer_tf.envs.errors import EnvDied, EnvError


class Host:
    """Builds one environment and runs commands on it."""

    def __init__(self, constructor):
        """Builds the environment.

        Args:
          constructor: Called without arguments, returns an `Env`.

        Raises:
          EnvError: If the constructor fails or returns something else.
        """
        try:
            env = constructor()
        except EnvError:
            raise
        except Exception as error:
            text = f"the constructor of the environment failed:\n{traceback.format_exc()}"
            raise EnvError(text) from error
        if not isinstance(env, Env):
            raise EnvError(
                f"a constructor must return a dreamer_tf.envs.Env, got {type(env).__name__}; "
                "dreamer_tf.envs.from_user wraps gymnasium and gym environments"
            )
        self._env = CheckedEnv(env)

    @property
    def spaces(self):
        """Observation spaces, action spaces, the simulator's own ones, and frames per step."""
        env = self._env
        return env.obs_space, env.act_space, env.native_act_space, env.frames_per_step

    def call(self, command, argument=None):
        """Runs ``reset`` (a seed), ``step`` (an action), ``render`` or ``close`` (nothing).

        Raises:
          EnvError: What the environment returned is unusable.
          EnvDied: The environment raised an error of its own; holds its traceback.
        """
        try:
            if command == "reset":
                return self._env.reset(argument)
            if command == "step":
                return self._env.step(argument)
            if command == "render":
                return self._env.render()
        except EnvError:
            raise
        except NotImplementedError as error:
            raise EnvError(str(error)) from error
        except Exception as error:
            raise EnvDied(traceback.format_exc()) from error
        if command == "close":
            return self._env.close()
        raise ValueError(f"unknown command {command!r}")


class InlineHost:
    """The same commands with the interface of `ProcessHost`, run in this process."""

    def __init__(self, constructor):
        self._constructor = constructor
        self._host = None
        self._pending = None

    def wait_until_ready(self):
        """Calls the constructor; returns the spaces and frames per step."""
        self._host = Host(self._constructor)
        return self._host.spaces

    def send(self, command, argument=None):
        """Notes a command; `receive` runs it."""
        self._pending = (command, argument)

    def receive(self):
        """The reply to the last command; raises like `Host.call`."""
        return self._host.call(*self._pending)

    def close(self):
        """Closes the environment."""
        if self._host is not None:
            self._host.call("close")
