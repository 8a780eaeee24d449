"""The web server: the page's files, and the studio's answers to this machine's own browser.

Other users of this machine can reach its ports, too: only who knows the token in the printed
address is answered. The browser keeps it as a cookie, so that it leaves the address bar at once.

A page of another site that is open in the same browser could send requests here, too. It cannot
read an answer, nor change anything: the server listens on the loopback interface only, answers only
under the names of this machine (a foreign name that was pointed here is refused), and takes changes
only as JSON, which a browser does not send to another site without asking first.
"""

import functools
import importlib.resources
import json
import mimetypes
import secrets
import socket

import flask
from werkzeug.exceptions import HTTPException
from werkzeug.serving import WSGIRequestHandler, make_server

from dreamer_tf.apps.dream.errors import DreamError, RequestError
from dreamer_tf.apps.report.assets import page_file

HOST = "127.0.0.1"
TOKEN = "token"
"""Name of the token in the query."""

_NAMES = ("127.0.0.1", "localhost", "[::1]")
_LARGEST_BODY = 1 << 16

_SHARED = ("report.css", "vendor/uPlot.min.css", "vendor/uPlot.iife.min.js")
_POLICY = {
    # Nothing from elsewhere; uPlot and the page set styles of elements, not style sheets.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def make_app(studio, port, token):
    """The application.

    Args:
      studio: `Studio`.
      port: Port that it is reached at, which the Host header must name.
      token: Text that requests must know, in the query or as a cookie.

    Returns:
      ``flask.Flask``.
    """
    app = flask.Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_BODY
    app.before_request(functools.partial(_refuse_strangers, port))
    app.before_request(functools.partial(_ask_for_token, _cookie(port), token))
    app.after_request(_add_policy)
    app.register_error_handler(RequestError, _tell_refusal)
    app.register_error_handler(HTTPException, _tell_http_error)
    _add_page(app)
    _add_answers(app, studio)
    return app


def _refuse_strangers(port):
    """Refuses what was not sent to this machine's own name, or not by this page."""
    request = flask.request
    hosts = [f"{name}:{port}" for name in _NAMES]
    if request.headers.get("Host") not in hosts:
        got = request.headers.get("Host")
        raise RequestError(f"expected the host {' or '.join(hosts)}, got {got!r}", 403)
    origin = request.headers.get("Origin")
    if origin is not None and origin not in [f"http://{host}" for host in hosts]:
        raise RequestError(f"requests of other sites are refused; this one is of {origin!r}", 403)
    if request.method == "POST" and request.mimetype != "application/json":
        got = request.mimetype or "nothing"
        raise RequestError(f"expected the content type application/json, got {got}", 415)


def _ask_for_token(cookie, token):
    """Refuses who does not know the token; who brings it in the address gets the page without."""
    request = flask.request
    given = request.args.get(TOKEN)
    known = request.cookies.get(cookie, "") if given is None else given
    if not secrets.compare_digest(known.encode(), token.encode()):
        raise RequestError(
            f"the token is {'missing' if not known else 'another one'}: open the whole address "
            f"that dream.py printed when it was started, with ?{TOKEN}=",
            403,
        )
    if given is None or request.method != "GET" or request.path != "/":
        return None
    response = flask.redirect("/")
    response.set_cookie(cookie, token, httponly=True, samesite="Lax")
    return response


def _cookie(port):
    """Name of the cookie: servers at other ports of this machine have theirs beside it."""
    return f"dream-{port}"


def _add_policy(response):
    response.headers.update(_POLICY)
    return response


def _tell_refusal(error):
    return {"error": str(error)}, error.status


def _tell_http_error(error):
    return {"error": error.description}, error.code


def _add_page(app):
    folder = importlib.resources.files("dreamer_tf.apps.dream") / "page"
    own = sorted(file.name for file in folder.iterdir() if file.is_file())

    def send(name):
        if name in own:
            text = folder.joinpath(name).read_text(encoding="utf-8")
        elif name in _SHARED:
            text = page_file(name)
        else:
            flask.abort(404, f"there is no page {name!r}; expected /")
        kind, _ = mimetypes.guess_type(name)
        return flask.Response(text, mimetype=kind)

    app.add_url_rule("/", "page", lambda: send("dream.html"))
    app.add_url_rule("/<path:name>", "file", send)


def _add_answers(app, studio):
    answers = {
        "/api/run": studio.about,
        "/api/episodes": studio.episodes,
        "/api/episodes/<int:serial>": studio.episode,
        "/api/episodes/<int:serial>/rows/<int:row>": studio.row,
    }
    for rule, answer in answers.items():
        app.add_url_rule(rule, rule, functools.partial(_answer, answer))
    app.add_url_rule(
        "/api/dreams", "begin", lambda: _answer(studio.begin, body=_body()), methods=["POST"]
    )
    app.add_url_rule(
        "/api/dreams/<name>/steps",
        "step",
        lambda name: _answer(studio.step, name=name, body=_body()),
        methods=["POST"],
    )


def _answer(function, **arguments):
    text = json.dumps(function(**arguments), allow_nan=False, separators=(",", ":"))
    return flask.Response(text, mimetype="application/json")


def _body():
    try:
        return json.loads(flask.request.get_data(as_text=True))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"expected JSON, got something else: {error}") from error


class _QuietHandler(WSGIRequestHandler):
    """Logs errors, not every request: the terminal is for what a person must know."""

    def log_request(self, code="-", size="-"):
        """Leaves the request out of the log."""


def bind(port):
    """A socket that listens on the loopback interface.

    Args:
      port: Which port; 0: any free one.

    Raises:
      DreamError: If the port is taken, or not to be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise DreamError(
            f"port {port} cannot be used: {error.strerror}; give another --port, 0 for any free one"
        ) from error
    return listener


def make(studio, listener, token):
    """A server that answers at a socket, with ``serve_forever`` and ``shutdown``.

    Args:
      studio: `Studio`.
      listener: As `bind` returns it.
      token: Text that requests must know, see `make_app`.
    """
    port = listener.getsockname()[1]
    return make_server(
        HOST,
        port,
        make_app(studio, port, token),
        threaded=True,
        request_handler=_QuietHandler,
        fd=listener.fileno(),
    )
