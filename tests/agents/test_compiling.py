"""What updates and policies need of a device, told from their graphs: no GPU is needed to run."""

import numpy as np
import pytest
import tensorflow as tf

# TensorFlow has no public way to ask which kernels there are.
from tensorflow.python.framework import kernels

from dreamer_tf import agents, config
from dreamer_tf.specs import Space, row_spaces

OBS_SPACE = {"position": Space(np.float32, (3,)), "image": Space(np.uint8, (64, 64, 3))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
CLASSES = {"action": Space(np.int32, (), 0, 4)}
AGENTS = {
    "planet": {"planet.overshooting_scale": 1.0},
    "dreamer": {},
    "dreamerv2": {"dreamerv2.explore.behavior": "plan2explore"},
    "dreamerv3": {},
}
ON_THE_HOST = {
    "BroadcastGradientArgs",
    "Placeholder",
    "StatefulRandomBinomial",
}
"""Arithmetic with shapes, which TensorFlow keeps beside a GPU, and what is no operation at all."""
DEVICES = {"GPU", "DEFAULT"}


def make_agent(name, act_space=ACT_SPACE, presets=("debug",), **options):
    tf.keras.utils.set_random_seed(0)
    options = {"agent": name} | options if name else options
    return agents.make(config.load(list(presets), options).config, OBS_SPACE, act_space)


def batch_specs(agent, batch_size, length):
    spaces = row_spaces(agent.obs_space, agent.act_space)
    return {
        key: tf.TensorSpec([batch_size, length, *space.shape], space.dtype)
        for key, space in spaces.items()
    }


def traced_update(agent, batch_size=2, length=3):
    carry = agent.initial_carry(batch_size)
    return agent._train.get_concrete_function(batch_specs(agent, batch_size, length), carry)


def traced_policies(agent):
    for mode in agents.base.MODES:
        obs = {
            key: tf.TensorSpec([1, *space.shape], space.dtype)
            for key, space in agent.obs_space.items()
        }
        policy = tf.function(lambda *args, mode=mode: agent._draw_and_act(mode, *args))
        is_first = tf.TensorSpec([1], tf.bool)
        yield policy.get_concrete_function(obs, agent.initial_state(1), is_first)


def operations(function):
    """The operations of a graph and of the functions that it calls."""
    definition = function.graph.as_graph_def()
    yield from definition.node
    for called in definition.library.function:
        yield from called.node_def


def without_gpu(nodes):
    """Names of the types of operations that have no kernel on a GPU for their types of tensors."""
    missing = set()
    for node in nodes:
        found = kernels.get_registered_kernels_for_op(node.op).kernel
        on_gpu = [kernel for kernel in found if kernel.device_type in DEVICES]
        # Calls of functions have no kernel of their own.
        if found and not any(_serves(kernel, node) for kernel in on_gpu):
            missing.add(node.op)
    return missing


def _serves(kernel, node):
    for constraint in kernel.constraint:
        given = node.attr[constraint.name]
        types = [given.type] if given.type else list(given.list.type)
        if not set(types) <= set(constraint.allowed_values.list.type):
            return False
    return True


@pytest.mark.parametrize(
    ("name", "act_space"),
    [(name, ACT_SPACE) for name in AGENTS]
    + [(name, CLASSES) for name in AGENTS if name != "planet"],  # It plans numbers.
)
def test_every_operation_has_a_kernel_on_a_gpu(name, act_space):
    agent = make_agent(name, act_space, **AGENTS[name])
    missing = {"update": without_gpu(operations(traced_update(agent)))}
    for mode, policy in zip(agents.base.MODES, traced_policies(agent), strict=True):
        missing[mode] = without_gpu(operations(policy))
    assert set.union(*missing.values()) <= ON_THE_HOST, missing


def test_an_operation_without_a_kernel_on_a_gpu_is_seen():
    function = tf.function(lambda x: tf.strings.length(tf.strings.as_string(x)))
    traced = function.get_concrete_function(tf.TensorSpec([2], tf.float32))
    assert without_gpu(operations(traced)) == {"AsString", "StringLength"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "presets",
    [
        ["planet"],
        ["dmc_tf2"],
        ["dmc_proprio", "cpu"],
        ["dreamerv2_dmc_vision"],
        ["dreamerv2_dmc_proprio"],
        ["dreamerv3_dmc_vision", "size12m"],
        ["dreamerv3_dmc_proprio", "size1m"],
        ["dreamerv3_dmc_proprio", "dreamerv3_cpu"],
    ],
    ids=" ".join,
)
def test_the_update_of_a_preset_compiles_with_xla(presets):
    """At the preset's sizes; half a minute to two minutes each. Tiny ones: test_jit.py."""
    agent = make_agent(None, presets=presets, jit=True)
    replay = config.load(presets).config.replay
    rows = batch_specs(agent, replay.batch_size, replay.batch_length)
    batch = {key: tf.zeros(spec.shape, spec.dtype) for key, spec in rows.items()}
    metrics, _ = agent.train_step(batch, agent.initial_carry(replay.batch_size))
    assert all(np.isfinite(value) for value in metrics.values()), metrics
