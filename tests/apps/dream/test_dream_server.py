"""The server answers the page, explains what it refuses, and refuses strangers."""

import json

import pytest

pytest.importorskip("flask", reason='flask is missing: pip install "dreamer-tf[dream]"')

from dreamer_tf.apps.dream import server  # noqa: E402
from dreamer_tf.apps.dream.errors import DreamError  # noqa: E402
from dreamer_tf.apps.dream.studio import Studio  # noqa: E402
from tests.apps.dream.small_runs import small_run  # noqa: E402

PORT = 8765
TOKEN = "a-token"
HERE = f"http://127.0.0.1:{PORT}"
MOMENT = {"episode": 1, "row": 3, "seed": 0}
ACTION = {"action": [0.5, 2], "buttons": [-1, 1]}


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Of a run with an image, numbers, and a mix of actions."""
    folder = tmp_path_factory.mktemp("run")
    small_run(folder, "dreamerv3", lengths=(9, 12))
    damaged = next((folder / "replay").glob("000000002-*"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    return Studio(folder)


@pytest.fixture(scope="module")
def client(studio):
    """A browser that has opened the address with the token."""
    client = server.make_app(studio, PORT, TOKEN).test_client()
    client.get(f"/?token={TOKEN}", base_url=HERE)
    # The test's client keeps cookies by host; the tests ask under every name of this machine.
    for host in ("localhost", "::1"):
        client.set_cookie(f"dream-{PORT}", TOKEN, domain=host)
    return client


@pytest.fixture
def dream(client):
    """The id of a dream that has begun."""
    return client.post("/api/dreams", json=MOMENT, base_url=HERE).json["id"]


def test_the_run_is_described(client):
    about = client.get("/api/run", base_url=HERE).json
    assert (about["agent"], about["frames"], about["steps"]) == ("DreamerV3", 600, 1000)
    assert not about["is_finished"] and about["newest"] == 1
    assert "000000002" in about["notes"][0]
    assert about["observations"] == {
        "image": {"shape": [16, 16, 3], "is_image": True},
        "robot/arm": {"shape": [3], "is_image": False},
    }
    assert about["actions"]["action"] == {
        "is_discrete": False,
        "low": [-2.0, 0.0],
        "high": [2.0, 10.0],
    }


def test_episodes_and_rows_are_told(client):
    assert client.get("/api/episodes", base_url=HERE).json == [[1, 9], [2, 12]]
    told = client.get("/api/episodes/1", base_url=HERE).json
    assert (told["rows"], told["return"], told["is_terminal"]) == (9, sum(range(9)), True)
    assert told["rewards"] == list(range(9)) and not told["is_transformed"]
    row = client.get("/api/episodes/1/rows/8", base_url=HERE).json
    assert row["observations"].keys() == {"image", "robot/arm"}


def test_a_step_is_answered(client, dream):
    body = {"at": 0, "by": "you", "action": ACTION}
    answer = client.post(f"/api/dreams/{dream}/steps", json=body, base_url=HERE)
    assert answer.status_code == 200
    assert answer.json["action"] == {"action": pytest.approx([0.5, 2]), "buttons": [-1, 1]}
    assert answer.json["step"] == 1 and answer.json["true"]["row"] == 4


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/api/episodes/7", 404, "there is no episode 7; expected one of the replay, such as 2, 1"),
        ("/api/episodes/2", 422, "000000002-00012-000000000019.npz is damaged"),
        ("/api/episodes/1/rows/9", 400, "row: expected a whole number from 0 to 8, got 9"),
        ("/api/episodes/x", 404, "there is no page 'api/episodes/x'"),
        ("/../setup.py", 404, "there is no page"),
        ("/vendor/uPlot.LICENSE.py", 404, "there is no page"),
        ("/api/dreams", 404, "there is no page 'api/dreams'; expected /"),
    ],
)
def test_what_is_not_there_is_explained(client, path, status, message):
    answer = client.get(path, base_url=HERE)
    assert answer.status_code == status
    assert message.lower() in answer.json["error"].lower()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ([], r"expected a JSON object, got \[\]"),
        ({"episode": 1}, "expected the keys episode, row, seed; got 'episode'"),
        ({**MOMENT, "rwo": 2}, "expected the keys .*'rwo'"),
        ({**MOMENT, "row": 9}, "row: expected a whole number from 0 to 8, got 9"),
        ({**MOMENT, "row": 1.5}, "row: expected a whole number from 0 to 8, got 1.5"),
        ({**MOMENT, "row": True}, "row: expected .* got True"),
        ({**MOMENT, "seed": -1}, "seed: expected a whole number from 0 to 2147483647, got -1"),
        ({**MOMENT, "seed": None}, "seed: expected .*, got None"),
        ({**MOMENT, "episode": "1"}, "episode: expected .*, got '1'"),
    ],
)
def test_a_moment_is_checked(client, body, message):
    refused(client.post("/api/dreams", json=body, base_url=HERE), 400, message)


def refused(answer, status, message):
    import re

    assert answer.status_code == status, answer.json
    assert re.search(message, answer.json["error"]), answer.json


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"at": 0}, "expected the keys at, by and perhaps action; got 'at'"),
        ({"at": 1, "by": "mode"}, "at: expected a whole number from 0 to 0, got 1"),
        ({"at": 0, "by": "me"}, "by: expected one of you, recorded, mode, sample; got 'me'"),
        ({"at": 0, "by": ["you"]}, "by: expected one of"),
        ({"at": 0, "by": "you"}, "expected an action if it is by 'you'"),
        ({"at": 0, "by": "mode", "action": ACTION}, "expected an action if it is by 'you'"),
        (
            {"at": 0, "by": "you", "action": {"action": [0, 0]}},
            "keys action, buttons; got 'action'",
        ),
        (
            {"at": 0, "by": "you", "action": ACTION | {"action": [0.5]}},
            r"action 'action': expected a list of 2 numbers, got \[0.5\]",
        ),
        (
            {"at": 0, "by": "you", "action": ACTION | {"action": [0.5, 11]}},
            "action 'action', element 1: expected one of the numbers from 0 to 10, got 11",
        ),
        (
            {"at": 0, "by": "you", "action": ACTION | {"action": [float("nan"), 1]}},
            "element 0: expected one of the numbers from -2 to 2, got nan",
        ),
        (
            {"at": 0, "by": "you", "action": ACTION | {"buttons": [0.5, 0]}},
            "action 'buttons', element 0: expected one of the whole numbers from -1 to 1, got 0.5",
        ),
        (
            {"at": 0, "by": "you", "action": ACTION | {"buttons": [0, True]}},
            "element 1: expected one of the whole numbers from 0 to 1, got True",
        ),
    ],
)
def test_a_step_is_checked(client, dream, body, message):
    answer = client.post(
        f"/api/dreams/{dream}/steps",
        data=json.dumps(body),
        content_type="application/json",
        base_url=HERE,
    )
    refused(answer, 400, message)


def test_what_is_no_json_is_refused(client):
    for text in ("{", "", "[" * 20000):
        answer = client.post(
            "/api/dreams", data=text, content_type="application/json", base_url=HERE
        )
        refused(answer, 400, "expected JSON")
    answer = client.post(
        "/api/dreams", data="1" * 70000, content_type="application/json", base_url=HERE
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_only_json_can_change_anything(client, kind):
    answer = client.post("/api/dreams", data=json.dumps(MOMENT), content_type=kind, base_url=HERE)
    refused(answer, 415, f"expected the content type application/json, got {kind or 'nothing'}")


def test_only_the_names_of_this_machine_are_answered(client):
    for host in (f"127.0.0.1:{PORT}", f"localhost:{PORT}", f"[::1]:{PORT}"):
        assert client.get("/api/run", headers={"Host": host}).status_code == 200
    strangers = ["evil.example", f"evil.example:{PORT}", "127.0.0.1", f"localhost:{PORT + 1}"]
    for host in (*strangers, f"localhost.evil.example:{PORT}", ""):
        for path in ("/", "/api/run", "/dream.js"):
            refused(client.get(path, headers={"Host": host}), 403, "expected the host 127.0.0.1")


def test_only_who_knows_the_token_is_answered(studio):
    app = server.make_app(studio, PORT, TOKEN)
    for path in ("/", "/dream.js", "/api/run", "/api/episodes"):
        refused(app.test_client().get(path, base_url=HERE), 403, "the token is missing")
        for wrong in ("?token=", "?token=b", f"?token={TOKEN}x", "?token=%C3%A9"):
            answer = app.test_client().get(path + wrong, base_url=HERE)
            refused(answer, 403, "the token is .*open the whole address")
            assert "Set-Cookie" not in answer.headers
    refused(app.test_client().post("/api/dreams", json=MOMENT, base_url=HERE), 403, "missing")
    browser = app.test_client()
    answer = browser.get(f"/?token={TOKEN}", base_url=HERE)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert f"dream-{PORT}={TOKEN}" in answer.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert browser.get("/", base_url=HERE).status_code == 200
    assert browser.post("/api/dreams", json=MOMENT, base_url=HERE).status_code == 200
    # Another address without the cookie is no way around, a wrong token beside it neither.
    refused(browser.get("/api/run?token=b", base_url=HERE), 403, "another one")


def test_other_sites_are_refused(client):
    for origin in ("https://evil.example", "null", f"http://localhost:{PORT + 1}"):
        answer = client.post("/api/dreams", json=MOMENT, base_url=HERE, headers={"Origin": origin})
        refused(answer, 403, "requests of other sites are refused")
    answer = client.post("/api/dreams", json=MOMENT, base_url=HERE, headers={"Origin": HERE})
    assert answer.status_code == 200 and "Access-Control-Allow-Origin" not in answer.headers


def test_the_page_may_load_nothing_from_elsewhere(client):
    answer = client.get("/", base_url=HERE)
    assert answer.status_code == 200 and answer.mimetype == "text/html"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';") and "frame-ancestors 'none'" in policy
    for name, kind in (("report.css", "text/css"), ("dream.js", "text/javascript")):
        assert client.get(f"/{name}", base_url=HERE).mimetype == kind


def test_the_oldest_dreams_are_forgotten(client, dream):
    for _ in range(8):
        client.post("/api/dreams", json=MOMENT, base_url=HERE)
    answer = client.post(f"/api/dreams/{dream}/steps", json={"at": 0, "by": "mode"}, base_url=HERE)
    refused(answer, 410, "this dream is over: the server remembers 8; begin it again")


def test_the_server_listens_on_the_loopback_interface_alone(studio):
    with server.bind(0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1" and port > 0
        with pytest.raises(DreamError, match=f"port {port} cannot be used: .* --port"):
            server.bind(port)
        made = server.make(studio, listener, TOKEN)
        assert made.server_address == ("127.0.0.1", port)
        made.server_close()
