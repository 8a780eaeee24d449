"""The mode action with its draws as inputs, for runtimes that cannot draw: LiteRT and ONNX."""

import tensorflow as tf

from dreamer_tf.export.draws import FedDraws


def fed_act(policy, names):
    """The function of a batch of one.

    Args:
      policy: `Policy`.
      names: `Names`.

    Returns:
      The ``tf.function``; its inputs as ``tf.TensorSpec``, observations, the state without its
      seed, ``is_first`` and ``draw_0``, … ; and JSON values: kind and shape of each draw.
    """
    specs = _specs(policy, names)
    draws = _find_draws(policy, names, specs)
    inputs = [
        *specs.values(),
        *(
            tf.TensorSpec(shape, tf.float32, f"draw_{index}")
            for index, (_, shape) in enumerate(draws)
        ),
    ]

    def act(**given):
        fed = FedDraws([given[f"draw_{index}"] for index in range(len(draws))])
        return _act(policy, names, given, fed)

    described = [{"kind": kind, "shape": shape} for kind, shape in draws]
    return tf.function(act, autograph=False), inputs, described


def _specs(policy, names):
    specs = {
        names.obs[key]: tf.TensorSpec([1, *space.shape], space.dtype, names.obs[key])
        for key, space in policy.obs_space.items()
    }
    for key, spec in _memory(policy).items():
        name = names.state[key]
        specs[name] = tf.TensorSpec([1, *spec.shape], spec.dtype, name)
    return specs | {"is_first": tf.TensorSpec([1], tf.bool, "is_first")}


def _memory(policy):
    """The state without its seed."""
    return {key: spec for key, spec in policy.state.items() if key != "seed"}


def _find_draws(policy, names, specs):
    found = FedDraws()
    tf.function(
        lambda **given: _act(policy, names, given, found), autograph=False
    ).get_concrete_function(**specs)
    return found.specs


def _act(policy, names, given, draws):
    obs = {key: given[name] for key, name in names.obs.items()}
    state = {key: given[names.state[key]] for key in _memory(policy)}
    actions, state = policy.act_with_draws(obs, state, given["is_first"], draws)
    outputs = {names.actions[key]: action for key, action in actions.items()}
    return outputs | {names.state[key]: value for key, value in state.items()}
