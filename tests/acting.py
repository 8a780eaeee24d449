"""One decision of an agent with draws that are fed in, and updates that are not compiled."""

import tensorflow as tf


def act(agent, obs, state, is_first, noise, mode="train"):
    """The agent's own action vector ``[N, A]`` and the next state."""
    noise = {"action": ()} | noise if mode == "eval" else noise
    _, state = agent.act(obs, state, tf.constant(is_first), noise, mode)
    return state.action, state


def uncompiled(*agents):
    """Lets agents make updates operation by operation: a few take less time than compiling."""
    for agent in agents:
        agent._train = agent._draw_and_update
