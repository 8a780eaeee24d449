"""``python -m dreamer_tf.envs TASK`` is `check_env`; exit code 2: the task cannot be used."""

import argparse
import sys
from collections.abc import Sequence

from dreamer_tf.envs.errors import EnvError
from dreamer_tf.envs.preview import check_env


def main(argv: Sequence[str] | None = None) -> None:
    """The command: prints what ``check_env`` says.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(description="Shows what an agent will see of an environment.")
    parser.add_argument("task", help="name of a task, or module:name for a class of your own")
    parser.add_argument("--steps", type=_positive, default=1000, help="at most; default: 1000")
    parser.add_argument("--seed", type=_not_negative, default=0)
    parser.add_argument("--action_repeat", type=int, default=1, help="default: 1")
    arguments = parser.parse_args(argv)
    options = {"steps": arguments.steps, "action_repeat": arguments.action_repeat}
    try:
        print(check_env(arguments.task, seed=arguments.seed, **options))
    except EnvError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from error


def _positive(text: str) -> int:
    return _whole(text, 1)


def _not_negative(text: str) -> int:
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"expected a whole number from {least}, got {text}")
    return int(text)


if __name__ == "__main__":
    main()
