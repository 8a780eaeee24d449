"""PlaNet's world model against the V1 recordings, whose networks it shares."""

import dataclasses

import numpy as np
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.agents import PlaNet
from dreamer_tf.config import shared
from dreamer_tf.specs import Space
from tests.agents.test_dreamer_golden import make_agent as make_dreamer
from tests.agents.test_dreamer_golden import recorded_batch, recorded_noise
from tests.golden_data import Golden, assert_close, load_weights, v1_weights


def make_agent(golden):
    """The agent at the recording's sizes, with the weights of its world model."""
    s = golden.settings
    planet = configs.PlaNetConfig(
        rssm=shared.GaussianRSSMConfig(deter=s["deter"], stoch=s["stoch"], hidden=s["hidden"]),
        encoder=shared.ObservationConfig(depth=s["cnn_depth"]),
        decoder=shared.ObservationConfig(depth=s["cnn_depth"]),
        reward=shared.HeadConfig(s["layers"]["reward"], s["units"]),
        activation="elu",
    )
    obs_space = {"image": Space(np.uint8, golden["data/image"].shape[2:])}
    act_space = {"action": Space(np.float32, (s["action"],), -1, 1)}
    agent = PlaNet(dataclasses.replace(configs.Config(), planet=planet), obs_space, act_space)
    weights = v1_weights(agent.world_model)
    load_weights(weights, {name: golden[f"param/{name}"] for name in weights})
    return agent


def test_recorded_losses_of_the_world_model():
    golden = Golden("v1_agent_cont")
    agent = make_agent(golden)
    batch = recorded_batch(golden)
    losses, post, metrics = agent.world_model.losses(
        batch, {"reward": batch["reward"]}, recorded_noise(golden)["post"]
    )
    assert_close(post.deter, golden["post/deter"])
    assert_close(post.stoch, golden["post/stoch"])
    assert_close(metrics["kl"], golden["out/kl"].mean())
    assert_close(-tf.reduce_mean(losses["image"]), golden["out/like_image"])
    assert_close(-tf.reduce_mean(losses["reward"]), golden["out/like_reward"])
    assert_close(metrics["prior_entropy"], golden["out/prior_entropy"])


def test_rewards_along_the_recorded_imagination():
    """The rollout of candidates, from a recorded state along the recorded policy's actions."""
    golden = Golden("v1_agent_cont")
    agent, (dreamer, _) = make_agent(golden), make_dreamer(golden)
    feat, stoch = tf.constant(golden["imag/feat"]), golden.settings["stoch"]
    start = agent.world_model.rssm.state(feat[0, :, stoch:], feat[0, :, :stoch])
    # Rewards are recorded of all states but the last; the first one is the start here.
    actions = dreamer.behavior.actor.dist(feat[:-2]).sample(golden["noise/action"][1:-1])
    noise = tf.constant(golden["noise/imagine"][1:-1])
    returns = agent.predicted_return(start, actions, noise)
    assert_close(returns, golden["imag/reward"][1:].sum(axis=0))
