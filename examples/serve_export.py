"""Asks a policy that TensorFlow Serving holds for actions, over its REST interface.

An export goes into a folder for its version, and the server gets the folder above it:

    python scripts/export.py --logdir runs/walker --out models/walker/1
    tensorflow_model_server --rest_api_port=8501 \
        --model_name=walker --model_base_path=$PWD/models/walker
    python examples/serve_export.py http://localhost:8501/v1/models/walker models/walker/1

Nothing but Python and NumPy is needed here.
"""

import json
import pathlib
import sys
import urllib.error
import urllib.request

import numpy as np


class RemotePolicy:
    """A policy behind a server. The memory stays on this side and travels with every request."""

    def __init__(self, url, ask=None):
        """Takes the model's address.

        Args:
          url: ``http://host:port/v1/models/NAME``.
          ask: Function of an address and a request's bytes to an answer's; None: over HTTP.
        """
        self.url = f"{url}:predict"
        self.ask = ask or post

    def initial_state(self, batch_size):
        """The state at the start of ``batch_size`` episodes."""
        return self.predict("initial_state", {"batch_size": batch_size})

    def act(self, observation, state, is_first, signature="act"):
        """Actions and the next state, both dicts of lists.

        Args:
          observation: Dict of input name to array ``[N, *shape]``.
          state: What the last call returned, or `initial_state`.
          is_first: ``[N]`` bool.
          signature: ``act`` or ``act_sample``.
        """
        inputs = {name: np.asarray(value).tolist() for name, value in observation.items()}
        inputs |= state | {"is_first": np.asarray(is_first).tolist()}
        answer = self.predict(signature, inputs)
        state = {name: x for name, x in answer.items() if name.startswith("state_")}
        return {name: x for name, x in answer.items() if name not in state}, state

    def predict(self, signature, inputs):
        """One request in the column form: whole tensors by name."""
        request = {"signature_name": signature, "inputs": inputs}
        return json.loads(self.ask(self.url, json.dumps(request).encode()))["outputs"]


def post(url, body):
    """Sends a request over HTTP; what the server complains about is in the error."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.code} {error.read().decode(errors='replace')}") from error


def main(url, export):
    """Asks for five actions on observations of zeros."""
    spaces = json.loads((pathlib.Path(export) / "export.json").read_text())["observations"]
    observation = {s["name"]: np.zeros([1, *s["shape"]], s["dtype"]) for s in spaces.values()}
    policy = RemotePolicy(url)
    state = policy.initial_state(1)
    for step in range(5):
        actions, state = policy.act(observation, state, [step == 0])
        print(actions)


if __name__ == "__main__":
    main(*sys.argv[1:3])
