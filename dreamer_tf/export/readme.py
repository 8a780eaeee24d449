"""The text that goes with an export: how to call it."""

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
but LiteRT's own. It takes no `state_seed`: what `act` draws, you hand in, anew at every step:

{draws}"""


_ONNX = """## ONNX

`policy.onnx` holds the same for ONNX (opset {opset}), for a batch of one. Inputs are the
observations, the state without `state_seed`, `is_first` and these draws; outputs are the actions
and the next state, as `next_state_…`:

{draws}

"""


def readme(policy, names, converted, refusal, onnx=None):
    """The text of ``README.md``.

    Args:
      policy: `Policy`.
      names: `Names`.
      converted: What `litert.convert` returned, or None.
      refusal: Why it could not, or None.
      onnx: What `onnx.convert` returned, or None.
    """
    if converted:
        litert = _LITERT.format(draws=_draws(converted))
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
        onnx=_ONNX.format(opset=onnx["opset"], draws=_draws(onnx)) if onnx else "",
    )


def _draws(converted):
    return "\n".join(
        f"- `draw_{index}`: float32 {draw['shape']}, {draw['kind']}"
        for index, draw in enumerate(converted["draws"])
    )


def _spaces(spaces, names):
    return "\n".join(f"- `{names[key]}`: {_describe(space)}" for key, space in spaces.items())


def _describe(space):
    shape = str(["N", *space.shape]).replace("'", "")
    low, high = (_bound(bound) for bound in (space.low, space.high))
    return f"{space.dtype} {shape}, {low} to {high}"


def _bound(bound):
    values = sorted(set(bound.flat))
    return f"{values[0]:g}" if len(values) == 1 else bound.tolist()
