"""The command ``dream``: ``RUN [--port PORT]``.

Exit codes: 0 ended by Ctrl-C or SIGTERM; 2 the run, the options or the installation do not allow
to dream.
"""

import argparse
import secrets
import signal
import sys

from dreamer_tf.apps.commands import exit_codes
from dreamer_tf.apps.dream.errors import DreamError
from dreamer_tf.common.extras import install_hint
from dreamer_tf.config.program import add_version, program_name
from dreamer_tf.runs.machine import quiet_tensorflow, start_tensorflow

PORT = 8765


def dream(argv=None):
    """Serves the page in which a person dreams along.

    Args:
      argv: Words of the command line; None: those of this process.
    """
    parser = argparse.ArgumentParser(
        description="Opens a run's world model to step inside: serves a page, to this machine "
        "only, in which you dream on from a moment of a recorded episode, by your own actions or "
        "the agent's, beside what truly happened. Prints the address; Ctrl-C ends it. The run need "
        "not be finished, and is only read.",
        allow_abbrev=False,
    )
    add_version(parser)
    parser.add_argument("run", metavar="RUN", help="run folder with a checkpoint and its replay")
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        help="port on 127.0.0.1, 0 for any free one (default: %(default)s)",
    )
    with exit_codes():
        arguments = parser.parse_args(argv)
        quiet_tensorflow()
        try:
            _serve(arguments.run, arguments.port)
        except DreamError as error:
            print(f"{program_name()}: {error}", file=sys.stderr)
            raise SystemExit(2) from error


def _serve(run, port):
    server_module = _import_server()
    start_tensorflow()
    from dreamer_tf.apps.dream.studio import Studio

    # Before the model is loaded, which takes long: a port that is taken is known at once.
    with server_module.bind(port) as listener:
        studio = Studio(run)
        for note in studio.notes:
            print(f"{program_name()}: note: {note}", file=sys.stderr)
        about = studio.about()
        print(f"{about['agent']} on {about['task']}, {_progress(about)}")
        token = secrets.token_urlsafe()
        server = server_module.make(studio, listener, token)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        address = f"http://{server_module.HOST}:{server.port}/?{server_module.TOKEN}={token}"
        print(f"{address}  (Ctrl-C ends)", flush=True)
        server.serve_forever()  # Returns when it is interrupted.
        print("ended")


def _progress(about):
    frames, steps, unit = about["frames"], about["steps"], about["unit"]
    if about["is_finished"]:
        return f"{frames:,} {unit}"
    return f"{frames:,} of {steps:,} {unit}: the run is unfinished"


def _import_server():
    try:
        from dreamer_tf.apps.dream import server
    except ModuleNotFoundError as error:
        if error.name != "flask":
            raise
        raise DreamError(
            f"the page is served by Flask, which is not installed: {install_hint('dream')}"
        ) from error
    return server


def _port(text):
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {value}")
    return value
