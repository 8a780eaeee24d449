"""The commands ``train``, ``evaluate`` and ``export``: arguments, messages and exit codes.

Exit codes: 0 done; 1 the run could not go on (a full disk, say); 2 the arguments, the environment
or a folder do not fit; 129, 130 and 143 stopped by SIGHUP, Ctrl-C and SIGTERM, everything saved;
141 nobody reads the output any more (``| head``), everything saved.
"""

import argparse
import contextlib
import errno
import logging
import os
import sys

from dreamer_tf import config as configs
from dreamer_tf.apps import api
from dreamer_tf.apps.report.document import write_at_end
from dreamer_tf.common import counted, number
from dreamer_tf.config.program import add_version, program_name, unread_output
from dreamer_tf.envs import EnvError
from dreamer_tf.export.errors import ExportError
from dreamer_tf.replay import WrongSpacesError
from dreamer_tf.runs.errors import (
    NO_SPACE,
    PASSING,
    CheckpointError,
    CheckpointMismatchError,
    NoCheckpointError,
    RunFolderError,
    RunFolderInUse,
    VideoFormatError,
)
from dreamer_tf.runs.machine import quiet_tensorflow
from dreamer_tf.training import session
from dreamer_tf.training.guard import NonFiniteError
from dreamer_tf.training.hosts import ReplicaLostError

_USAGE_ERRORS = (
    configs.ConfigError,
    CheckpointMismatchError,
    NoCheckpointError,
    EnvError,
    ExportError,
    RunFolderError,
    RunFolderInUse,
    VideoFormatError,
    WrongSpacesError,
)
_RUN_ERRORS = (CheckpointError, NonFiniteError, ReplicaLostError)
_WRONG_PLACES = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR),
    *(errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP),
)
"""System errors of a path that cannot be written or read, whatever the program does."""
_OF_A_CARD = ("episodes", "env", "license")
"""Options of ``export`` that mean something with ``--card`` alone."""


def train(argv=None):
    """Trains an agent: ``--configs NAME ... --key value ...``.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    with exit_codes():
        description = "Trains an agent, or continues the run in --logdir."
        resolved = configs.parse_args(argv, description, suitable=True)
        quiet_tensorflow()
        session.run(resolved, at_end=[write_at_end])


def evaluate(argv=None):
    """Plays episodes with a trained agent: ``--logdir RUN``.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        description="Plays episodes with the agent of a run and prints their mean return."
    )
    parser.add_argument(
        "--logdir", required=True, type=os.path.expanduser, help="run folder, or an export of one"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--task", help="another task with the same observations and actions (default: the run's)"
    )
    where.add_argument("--env", metavar="MODULE:NAME", help="the environment of your own")
    parser.add_argument("--episodes", type=_positive, default=10, help="default: 10")
    parser.add_argument("--video", help="save the first episode as .mp4 or .gif")
    parser.add_argument("--seed", type=int, help="decides the episodes")
    parser.add_argument("--count", type=_positive, default=1, help="environments side by side")
    _add_checkpoint(parser)
    add_version(parser)
    with exit_codes():
        arguments, acting = _parse(parser, argv)
        quiet_tensorflow()
        outcome = api.evaluate(
            arguments.logdir,
            arguments.episodes,
            task=configs.own_environment([arguments.env]) if arguments.env else arguments.task,
            video=arguments.video,
            seed=arguments.seed,
            count=arguments.count,
            checkpoint=arguments.checkpoint,
            acting=acting,
        )
        print(
            f"return {number(outcome.mean)} ± {number(outcome.std)} "
            f"(mean ± standard deviation of {counted(len(outcome.returns), 'episode')}, "
            f"{number(min(outcome.returns))} to {number(max(outcome.returns))})"
        )
        if outcome.video:
            print(f"video {outcome.video}")


def export(argv=None):
    """Writes the policy of a run as a SavedModel: ``--logdir RUN --out DIR``.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        description="Writes the trained policy of a run as a SavedModel that TensorFlow alone can "
        "run, with the weights in Keras format and, where its operations allow, a LiteRT file."
    )
    parser.add_argument("--logdir", required=True, type=os.path.expanduser, help="run folder")
    parser.add_argument("--out", required=True, help="folder to make; it says how to use it")
    parser.add_argument("--no_litert", action="store_true", help="write no LiteRT file")
    parser.add_argument(
        "--onnx", action="store_true", help='write an ONNX file, too; needs the extra "onnx"'
    )
    parser.add_argument(
        "--card",
        action="store_true",
        help="write a folder for a model hub: a card with results, a video, the agent, and the "
        "policy with all its files",
    )
    parser.add_argument("--episodes", type=_positive, help="to play for the card (default: 10)")
    parser.add_argument("--env", metavar="MODULE:NAME", help="where the card's episodes are played")
    parser.add_argument("--license", help="the hub's name of the licence, for the card")
    _add_checkpoint(parser)
    add_version(parser)
    with exit_codes():
        arguments, acting = _parse(parser, argv)
        quiet_tensorflow()
        if arguments.card:
            if acting:
                parser.error(f"a card is of the agent as it trained; got {' '.join(acting)}")
            if arguments.no_litert:
                parser.error("--no_litert is for an export without a card")
            _write_card(arguments)
            return
        for name in _OF_A_CARD:
            if getattr(arguments, name) is not None:
                parser.error(f"--{name} is for a card: add --card, or leave it out")
        folder, refusal = api.export(
            arguments.logdir,
            arguments.out,
            litert=not arguments.no_litert,
            onnx=arguments.onnx,
            checkpoint=arguments.checkpoint,
            acting=acting,
        )
        print(f"exported to {folder}")
        if refusal:
            print(f"no policy.tflite: {refusal}")


def _write_card(arguments):
    folder, results = api.publish(
        arguments.logdir,
        arguments.out,
        episodes=arguments.episodes or 10,
        task=configs.own_environment([arguments.env]) if arguments.env else None,
        checkpoint=arguments.checkpoint,
        onnx=arguments.onnx,
        license=arguments.license,
    )
    print(f"return {number(results['mean'])} ± {number(results['std'])}")
    print(f"card {folder / 'README.md'}")


def _parse(parser, argv):
    """Arguments, and the words of options with a dot in their name, which change the acting."""
    parser.epilog = (
        "Options that change how the agent acts go behind these: --dreamerv3.policy planner, "
        "--dreamerv3.planner.horizon 5."
    )
    arguments, rest = parser.parse_known_args(argv)
    if rest and not (rest[0].startswith("--") and "." in rest[0].partition("=")[0]):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments, rest


@contextlib.contextmanager
def exit_codes():
    """Turns the errors that a message explains into that message and an exit code.

    Warnings are plain lines: absl, at TensorFlow's first checkpoint, would else have each begin
    with the name of its logger.
    """
    logging.basicConfig(format="%(message)s")
    try:
        with unread_output():
            yield
    except _USAGE_ERRORS as error:
        _end(str(error), 2, error)
    except _RUN_ERRORS as error:
        _end(str(error), 1, error)
    except OSError as error:
        if error.errno in _WRONG_PLACES and error.filename is not None:
            _end(f"{error.filename} cannot be used: {error.strerror}", 2, error)
        if error.errno not in (*NO_SPACE, *PASSING):
            raise
        message = f"{error}. The run is intact: make room, and the same command continues it."
        _end(message, 1, error)


def _end(message, code, error):
    print(f"{program_name()}: {message}", file=sys.stderr)
    raise SystemExit(code) from error


def _add_checkpoint(parser):
    parser.add_argument(
        "--checkpoint",
        metavar="best|FRAMES",
        help="the one with the highest mean return in an evaluation, or the one at so many frames "
        "(default: the newest)",
    )


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value
