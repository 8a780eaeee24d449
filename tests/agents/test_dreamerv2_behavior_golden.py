"""Actor and critic losses of DreamerV2 on a recorded trajectory, with their gradients."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.agents.dreamerv2_behavior import ActorCritic
from dreamer_tf.behaviors import ActionPart
from dreamer_tf.ops import cumulative_discount, lambda_return
from tests.golden_data import Golden, assert_close
from tests.golden_v2 import arrange, head_places, load

GRADIENTS = ("reinforce", "dynamics", "both")


class Recording:
    """A recorded trajectory and the behaviour it was made with."""

    def __init__(self, kind, gradient):
        self.golden = golden = Golden("v2_behavior")
        self.kind, s = kind, golden.settings
        is_discrete = kind == "onehot"
        head = {"layers": s["layers"], "units": s["units"]}
        overrides = {
            "actor": head | {"min_std": s["min_std"]},
            "critic": head,
            "activation": s["act"],
            "norm": s["norm"],
            "imag_horizon": s["horizon"],
            "return_lambda": s["discount_lambda"],
            "actor_gradient": gradient,
            "actor_gradient_mix": str(s["actor_grad_mix"]),
            "entropy_scale": str(s["actor_ent"]),
        }
        config = configs.load([], {"dreamerv2": overrides}).config.dreamerv2
        size = s["classes"] if is_discrete else s["action"]
        action = ActionPart("action", 0, size, is_discrete)
        self.behavior = ActorCritic(config, s["feat"], action, dtype="float32")
        halves = () if is_discrete else ("out", "out_std")
        networks = {"critic": self.behavior.critic, "slow_critic": self.slow}
        self.places = head_places(f"{kind}_actor", self.behavior.actor, halves)
        for name, network in networks.items():
            self.places |= head_places(f"{kind}_{name}", network)
        recorded = golden.group("param")
        load(self.places, {k: v for k, v in recorded.items() if k.startswith(f"{kind}_")})
        self.inputs = {k: tf.constant(v) for k, v in golden.group(f"{kind}/in").items()}

    @property
    def slow(self):
        return self.behavior.slow_critic.network

    def actor_loss(self, feat, reward, action):
        """The loss as a function of the recorded trajectory."""
        discount, weight = self.inputs["discount"], self.inputs["weight"]
        target, value = self.behavior.returns(feat, reward, discount)
        outputs = self.behavior.actor(tf.stop_gradient(feat[:-1]))
        return self.behavior.actor_loss(outputs, action[1:], target, value, weight, 0)

    def __getitem__(self, name):
        return self.golden[f"{self.kind}/{name}"]


@pytest.fixture(scope="module", params=["trunc", "onehot"])
def kind(request):
    return request.param


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_recorded_actor_loss_and_gradients(kind, gradient):
    recording = Recording(kind, gradient)
    sources = [recording.inputs[name] for name in ("feat", "reward", "action")]
    variables = recording.behavior.actor.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        loss, metrics = recording.actor_loss(*sources)
    assert_close(loss, recording[f"actor_loss_{gradient}"])
    assert_close(metrics["actor_entropy"], recording["actor_entropy"])

    gradients = tape.gradient(loss, [v.value for v in variables])
    ours = arrange(recording.places, variables, gradients)
    recorded = recording.golden.group(f"{kind}/grad_actor_{gradient}")
    assert ours.keys() == recorded.keys()
    for name, value in ours.items():
        assert_close(value, recorded[name], tolerance=1e-4, name=name)
    towards = tape.gradient(loss, sources, unconnected_gradients="zero")
    for name, value in zip(("feat", "reward", "action"), towards, strict=True):
        expected = recording[f"grad_input_{gradient}/{name}"]
        assert_close(value, expected, tolerance=1e-4, name=name)


def test_recorded_policy(kind):
    recording = Recording(kind, "auto")
    policy = recording.behavior.actor.dist(recording.inputs["feat"][:-2])
    assert_close(policy.log_prob(recording.inputs["action"][1:-1]), recording["policy_logprob"])
    assert_close(policy.entropy(), recording["policy_entropy"])


def test_recorded_critic_loss_and_gradient(kind):
    recording = Recording(kind, "auto")
    feat, reward = recording.inputs["feat"], recording.inputs["reward"]
    target, value = recording.behavior.returns(feat, reward, recording.inputs["discount"])
    assert_close(target, recording["target"])
    assert_close(value, recording["slow_value"])
    assert_close(recording.behavior.critic(feat), recording["critic_value"])
    variables = recording.behavior.critic.trainable_variables
    with tf.GradientTape() as tape:
        loss = recording.behavior.critic_loss(feat, target, recording.inputs["weight"])
    assert_close(loss, recording["critic_loss"])
    gradients = tape.gradient(loss, [v.value for v in variables])
    ours = arrange(recording.places, variables, gradients)
    for name, expected in recording.golden.group(f"{kind}/grad_critic").items():
        assert_close(ours[name], expected, tolerance=1e-4, name=name)


def test_recorded_weights(kind):
    recording = Recording(kind, "auto")
    assert_close(cumulative_discount(recording.inputs["discount"]), recording["in/weight"])


def test_recorded_returns():
    recorded = Golden("v2_behavior").group("lambda_return")
    inputs = [recorded[f"in/{name}"] for name in ("reward", "value", "discount", "bootstrap")]
    lambdas = [key.removeprefix("out/") for key in recorded if key.startswith("out/")]
    assert len(lambdas) >= 3
    for text in lambdas:
        returns = lambda_return(*inputs, float(text))
        assert_close(returns, recorded[f"out/{text}"], name=f"lambda {text}")


def test_the_recording_holds_states_without_use():
    # What falls away by the drawings must be there, or nothing tests that it does.
    recording = Recording("trunc", "dynamics")
    assert np.abs(recording["grad_input_dynamics/reward"][1:-1]).min() > 0
    assert not recording["grad_input_dynamics/reward"][[0, -1]].any()
