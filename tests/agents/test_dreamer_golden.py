"""One whole training step and two policy calls against the V1 recordings."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.agents import Dreamer
from dreamer_tf.config.dreamer import TanhActorConfig
from dreamer_tf.config.shared import GaussianRSSMConfig, HeadConfig, ObservationConfig
from dreamer_tf.specs import Space
from dreamer_tf.world_model import State, get_feat
from tests.acting import act
from tests.golden_data import (
    BFLOAT16,
    Golden,
    arrange_gradients,
    assert_close,
    load_weights,
    read_weights,
    v1_weights,
)


def make_agent(golden, precision="float32"):
    """The agent at the recording's sizes, with its weights."""
    s = golden.settings
    layers, units = s["layers"], s["units"]
    dreamer = configs.DreamerConfig(
        rssm=GaussianRSSMConfig(deter=s["deter"], stoch=s["stoch"], hidden=s["hidden"]),
        encoder=ObservationConfig(depth=s["cnn_depth"]),
        decoder=ObservationConfig(depth=s["cnn_depth"]),
        reward=HeadConfig(layers["reward"], units),
        cont=HeadConfig(layers["pcont"], units),
        critic=HeadConfig(layers["value"], units),
        actor=TanhActorConfig(
            layers["actor"],
            units,
            init_std=s["init_std"],
            min_std=s["min_std"],
            mean_scale=float(s["mean_scale"]),
        ),
        clip_rewards=s["clip_rewards"],
        discount_model=s["pcont"],
        discount_scale=s["pcont_scale"],
        kl_scale=s["kl_scale"],
        free_nats=s["free_nats"],
        imag_horizon=s["horizon"],
        discount=s["discount"],
        return_lambda=s["disclam"],
        model_optimizer=optimizer(s, s["model_lr"]),
        actor_optimizer=optimizer(s, s["actor_lr"]),
        critic_optimizer=optimizer(s, s["value_lr"]),
    )
    config = dataclasses.replace(configs.Config(), precision=precision, dreamer=dreamer)
    obs_space = {"image": Space(np.uint8, golden["data/image"].shape[2:])}
    agent = Dreamer(config, obs_space, {"action": action_space(golden)})
    weights = v1_weights(
        agent.world_model, heads={"value": agent.behavior.critic, "actor": agent.behavior.actor}
    )
    load_weights(weights, golden.group("param"))
    return agent, weights


def optimizer(s, learning_rate):
    """The options of one of the recorded optimisers, which differ in the learning rate only."""
    return configs.OptimizerConfig(learning_rate, s["adam"]["epsilon"], s["grad_clip"])


def is_discrete(golden):
    return golden.settings["action_dist"] == "onehot"


def action_space(golden):
    size = golden.settings["action"]
    return Space(np.int32, (), 0, size - 1) if is_discrete(golden) else Space(np.float32, (size,))


def recorded_batch(golden):
    batch = {key: tf.constant(value) for key, value in golden.group("data").items()}
    if is_discrete(golden):
        batch["action"] = tf.argmax(batch["action"], -1, output_type=tf.int32)
    batch["is_terminal"] = batch.pop("discount") == 0.0
    batch["is_first"] = tf.zeros_like(batch["is_terminal"])
    return batch


def recorded_noise(golden):
    post = tf.constant(np.swapaxes(golden["noise/post"], 0, 1))
    action = golden["noise/action_index" if is_discrete(golden) else "noise/action"]
    imagine = tf.constant(golden["noise/imagine"])
    return {"post": post, "imagine": imagine, "action": tf.constant(action)}


RECORDINGS = ["v1_agent_cont", "v1_agent_pcont", "v1_agent_onehot"]


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    golden = Golden(request.param)
    return golden, *make_agent(golden)


def test_recorded_world_model_loss(recording):
    golden, agent, _ = recording
    loss, post, metrics = agent.model_loss(
        agent.prepare(recorded_batch(golden)), recorded_noise(golden)["post"]
    )
    assert_close(loss, golden["out/model_loss"])
    assert_close(post.deter, golden["post/deter"])
    assert_close(post.stoch, golden["post/stoch"])
    assert_close(post.stats["mean"], golden["post/mean"])
    assert_close(post.stats["std"], golden["post/std"])
    assert_close(metrics["kl"], golden["out/kl"].mean())
    assert_close(metrics["kl_loss"], golden["out/div"])
    assert_close(-metrics["image_loss"], golden["out/like_image"])
    assert_close(-metrics["reward_loss"], golden["out/like_reward"])
    if agent.config.discount_model:
        scaled = agent.config.discount_scale * metrics["cont_loss"]
        assert_close(-scaled, golden["out/like_pcont"])
    assert_close(metrics["prior_entropy"], golden["out/prior_entropy"])
    assert_close(metrics["post_entropy"], golden["out/post_entropy"])


def test_recorded_world_model_loss_in_bfloat16():
    golden = Golden("v1_agent_cont")
    agent, _ = make_agent(golden, "mixed_bfloat16")
    batch, noise = agent.prepare(recorded_batch(golden)), recorded_noise(golden)
    loss, post, metrics = agent.model_loss(batch, noise["post"])
    assert_close(loss, golden["out/model_loss"], tolerance=BFLOAT16)
    assert_close(post.deter, golden["post/deter"], tolerance=BFLOAT16)
    assert_close(metrics["kl"], golden["out/kl"].mean(), tolerance=BFLOAT16)


def test_recorded_imagination(recording):
    golden, agent, _ = recording
    recorded = golden.group("post")
    stats = {"mean": recorded["mean"], "std": recorded["std"]}
    post = State(recorded["deter"], recorded["stoch"], stats)
    post = tf.nest.map_structure(tf.constant, post)
    feat = agent.behavior.imagine(
        agent.world_model.rssm, agent.start_states(post), recorded_noise(golden)
    )
    assert_close(feat, golden["imag/feat"])
    value = agent.behavior.critic(feat)
    assert_close(value[:-1], golden["imag/value"])
    assert_close(value[-1], golden["imag/bootstrap"])
    assert_close(agent.world_model.heads["reward"](feat[:-1]), golden["imag/reward"])
    returns, weights, _ = agent.behavior.returns(
        feat, agent.world_model.heads["reward"], agent.discount
    )
    assert_close(returns, golden["imag/returns"])
    leading_one = np.ones_like(golden["imag/pcont"][:1])
    expected = np.cumprod(np.concatenate([leading_one, golden["imag/pcont"][:-1]]), 0)
    assert_close(weights, expected)


def test_recorded_policy_calls(recording):
    golden, agent, _ = recording
    if "policy/image" not in golden.arrays:
        assert golden.settings["pcont"], "only the recordings with a discount model have none"
        return
    images = golden["policy/image"]
    state = agent.initial_state(images.shape[1])
    for call, image in enumerate(images):
        recorded = golden.group(f"policy/{call}")
        noise = {key: recorded[f"noise_{key}"] for key in ("post", "action", "explore")}
        is_first = np.zeros(len(image), bool)
        is_first[0] = call == 1
        action, state = act(agent, {"image": image}, state, tf.constant(is_first), noise)
        assert_close(action, recorded["action"])
        assert_close(state[0].deter, recorded["deter"])
        assert_close(state[0].stoch, recorded["stoch"])


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_gradients_and_update(name):
    golden = Golden(name)
    agent, weights = make_agent(golden)
    captured = {}
    for step in (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step):
        capture_gradients(step, captured, weights)
    metrics, _ = agent.update(recorded_batch(golden), recorded_noise(golden))

    for ours, recorded in [("model", "model"), ("actor", "actor"), ("critic", "value")]:
        assert_close(metrics[f"{ours}_loss"], golden[f"out/{recorded}_loss"])
        norm = golden[f"out/{recorded}_norm"]
        assert_close(metrics[f"{ours}_grad_norm"], norm, tolerance=1e-4)
    gradients = golden.group("grad")
    for key, expected in gradients.items():
        assert_close(captured[key], expected, tolerance=1e-4, name=f"gradient of {key}")
    norms = golden.group("gradnorm")
    assert captured.keys() == norms.keys()
    for key, expected in norms.items():
        norm = np.linalg.norm(captured[key].ravel())
        assert_close(norm, expected, tolerance=1e-4, name=f"gradient norm of {key}")
    after = read_weights(weights)
    for key, expected in golden.group("after").items():
        assert_close(after[key], expected, name=key)


def capture_gradients(step, captured, weights):
    """Lets a step's gradients be seen on their way."""
    original = step.gradients

    def gradients(tape, loss):
        result = original(tape, loss)
        captured.update(arrange_gradients(weights, step.targets, result))
        return result

    step.gradients = gradients


def test_features_hold_stoch_before_deter():
    state = State(tf.ones([1, 2]), tf.zeros([1, 3]), {})
    np.testing.assert_array_equal(get_feat(state), [[0, 0, 0, 1, 1]])
