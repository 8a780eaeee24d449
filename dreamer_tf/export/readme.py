"""The text that goes with an export: how to call it."""

from dreamer_tf.export.onnx import AFTER

_TEXT = """# A policy of {agent}

A TensorFlow SavedModel. TensorFlow alone loads it; nothing is remembered between calls.

```python
import tensorflow as tf

policy = tf.saved_model.load("path/to/this/folder").signatures
state = policy["initial_state"](batch_size=tf.constant(1))
# at every step:
answer = policy["act"](
    **observations, **state, is_first=tf.constant([episode_begins])
)
state = {{name: value for name, value in answer.items() if name.startswith("state_")}}
```

Every tensor has a batch axis N first; N is up to you and may change from call to call. A row does
not depend on the others. Where `is_first` is true the state is forgotten.

| signature | inputs | outputs |
| --- | --- | --- |
| `initial_state` | `batch_size` | state |
| `act` | observations, state, `is_first` | actions, state: the mode action |
| `act_sample` | the same | the same, sampled and explored as in training |
| `imagine` | state, actions `[N, H, ...]` | {predictions}, `[N, H, ...]`; state after the actions |

Observations:

{observations}

Actions, in the environment's own range:

{actions}

State:

{state}

`state_seed` decides the random numbers of a row, and counts on by itself. The rows of
`initial_state` have different ones; overwrite it with numbers of your own for other draws.

## TensorFlow Serving

The server wants the folder of a model to hold folders of versions: put this folder at
`models/policy/1` and start it with `--model_base_path=/path/to/models/policy --model_name=policy`.
Requests go to `/v1/models/policy:predict`, with the signature and the inputs by name:

```json
{{"signature_name": "act", "inputs": {{"is_first": [true], "...": "..."}}}}
```

## LiteRT

{litert}

{onnx}## Weights

`weights/` holds the weights of each network in Keras format, for programs that build the networks
with dreamer_tf: `agent.networks["encoder"].load_weights("weights/encoder.weights.h5")`.
"""

_LITERT = """`policy.tflite` has one signature, `act`, for a batch of one, and needs no operations
but LiteRT's own. It takes no `state_seed`: what `act` draws, you hand in, anew at every step.

```python
import numpy as np
from ai_edge_litert.interpreter import Interpreter  # or TensorFlow's: tf.lite.Interpreter

act = Interpreter("path/to/this/folder/policy.tflite").get_signature_runner("act")
{start}
# at every step:
draws = {draws}
answer = act(
    **observations, **state, **draws, is_first=np.array([episode_begins])
)
state = {{name: answer[name] for name in state}}
```"""


_ONNX = """## ONNX

`policy.onnx` holds the same for ONNX (opset {opset}), for a batch of one. Inputs are the
observations, the state without `state_seed`, `is_first` and the draws; outputs are the actions
and the next state, as `{after}state_…`.

```python
import numpy as np
import onnxruntime

policy = onnxruntime.InferenceSession(
    "path/to/this/folder/policy.onnx", providers=["CPUExecutionProvider"]
)
outputs = [output.name for output in policy.get_outputs()]
{start}
# at every step:
draws = {draws}
inputs = {{**observations, **state, **draws, "is_first": np.array([episode_begins])}}
answer = dict(zip(outputs, policy.run(None, inputs)))
state = {{name: answer[f"{after}{{name}}"] for name in state}}
```

"""

_DRAWS = {"normal": "standard_normal", "uniform": "random"}
"""The method of NumPy's generator for each kind of draw."""


def readme(policy, names, converted, refusal, onnx=None):
    """The text of ``README.md``.

    Args:
      policy: `Policy`.
      names: `Names`.
      converted: What `litert.convert` returned, or None.
      refusal: Why it could not, or None.
      onnx: What `onnx.convert` returned, or None.
    """
    start = _start(policy, names)
    if converted:
        litert = _LITERT.format(start=start, draws=_draws(converted))
    else:
        litert = refusal or "No LiteRT file was asked for."
    predictions = [names.obs.get(key, key) for key in policy.predictions]
    return _TEXT.format(
        agent=policy.agent,
        observations=_spaces(policy.obs_space, names.obs),
        actions=_spaces(policy.act_space, names.actions),
        state="\n".join(
            f"- `{names.state[key]}`: {spec.dtype.name} {['N', *spec.shape]}".replace("'", "")
            for key, spec in policy.state.items()
        ),
        predictions=", ".join(f"`{name}`" for name in predictions),
        litert=litert,
        onnx=_onnx(start, onnx) if onnx else "",
    )


def _onnx(start, converted):
    draws = _draws(converted)
    return _ONNX.format(opset=converted["opset"], start=start, draws=draws, after=AFTER)


def _start(policy, names):
    """Lines of Python: a generator, and the state at first, which ``is_first`` has forgotten."""
    zeros = "".join(
        f'    "{names.state[key]}": np.zeros({[1, *spec.shape]}, np.{spec.dtype.name}),\n'
        for key, spec in policy.state.items()
        if key != "seed"
    )
    return f"rng = np.random.default_rng()\nstate = {{\n{zeros}}}"


def _draws(converted):
    """A dict of draws as Python."""
    lines = "".join(
        f'    "draw_{index}": rng.{_DRAWS[draw["kind"]]}({draw["shape"]}, np.float32),\n'
        for index, draw in enumerate(converted["draws"])
    )
    return f"{{\n{lines}}}"


def _spaces(spaces, names):
    return "\n".join(f"- `{names[key]}`: {_describe(space)}" for key, space in spaces.items())


def _describe(space):
    shape = str(["N", *space.shape]).replace("'", "")
    low, high = (_bound(bound) for bound in (space.low, space.high))
    return f"{space.dtype} {shape}, {low} to {high}"


def _bound(bound):
    values = sorted(set(bound.flat))
    return f"{values[0]:g}" if len(values) == 1 else bound.tolist()
