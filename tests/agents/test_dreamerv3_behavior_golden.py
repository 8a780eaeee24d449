"""Returns, their scale, the slow critic, and the losses in imagination and replay, as recorded."""

import ast

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from dreamer_tf import config
from dreamer_tf.agents.dreamerv3_behavior import ActorCritic
from dreamer_tf.behaviors import (
    ActionEncoder,
    DeviationScale,
    PercentileScale,
    SlowCopy,
    UnitScale,
)
from dreamer_tf.distributions import OneHot, TwoHot, symexp_bins
from dreamer_tf.ops import lambda_return
from dreamer_tf.specs import Space
from tests.golden_data import Golden, assert_close, parse_pairs

GOLDEN = Golden("v3_behavior")
CASES = sorted(
    {"/".join(key.split("/")[:2]) for key in GOLDEN.arrays if key.endswith("/policy_loss")}
)
SCALES = {"perc": PercentileScale, "meanstd": DeviationScale, "none": UnitScale}
RETURN_NORMS = ("retnorm/lo", "retnorm/hi", "retnorm/mean", "retnorm/sqrs")
METRICS = {
    "adv": "advantage",
    "adv_std": "advantage_std",
    "adv_mag": "advantage_size",
    "ret": "return_normed",
    "ret_min": "return_normed_min",
    "ret_max": "return_normed_max",
    "ret_rate": "return_large",
    "ent/action": "action_entropy",
}


@pytest.mark.parametrize("name", sorted(GOLDEN.group("lambda_return/out")))
def test_recorded_returns_with_episode_ends(name):
    setting = parse_pairs(GOLDEN.setting(f"lambda_return/out/{name}"))
    recorded = {key: value.T for key, value in GOLDEN.group("lambda_return/in").items()}
    reward, bootstrap = recorded["rew"], recorded["boot"]
    discount = setting["disc"] * (1.0 - recorded["term"][1:])
    lambda_ = setting["lam"] * (1.0 - recorded["last"][1:])
    discount, lambda_ = discount.astype(np.float32), lambda_.astype(np.float32)
    returns = lambda_return(reward[1:], bootstrap[:-1], discount, bootstrap[-1], lambda_)
    assert_close(np.transpose(returns), GOLDEN[f"lambda_return/out/{name}"])


@pytest.mark.parametrize("name", sorted({k.split("/")[0] for k in GOLDEN.group("norm")} - {"in"}))
def test_recorded_scales_of_returns(name):
    options = ast.literal_eval(GOLDEN.setting(f"norm/{name}/0/scale"))
    renamed = {"perclo": "low", "perchi": "high"}
    kind = SCALES[options.pop("impl")]
    scale = kind(**{renamed.get(key, key): value for key, value in options.items()})
    for index in range(len(GOLDEN.group("norm/in"))):
        returns = tf.constant(GOLDEN[f"norm/in/{index}"])
        offset, size = scale.stats(returns)
        scale.update(returns, skipped=0.0)
        assert_close(offset, GOLDEN[f"norm/{name}/{index}/offset"])
        assert_close(size, GOLDEN[f"norm/{name}/{index}/scale"])


def test_returns_that_are_not_finite_leave_no_trace():
    for scale in (PercentileScale(rate=0.1, limit=1e-3), DeviationScale(rate=0.1, limit=1e-3)):
        scale.update(tf.constant([1.0, 2.0, 5.0]), skipped=0.0)
        before = scale.average.sums.numpy()
        for returns in ([1.0, np.nan, 5.0], [1.0, np.inf, 5.0]):
            scale.update(tf.constant(returns), skipped=0.0)
        np.testing.assert_array_equal(scale.average.sums, before)
        # Nor do those of an update that was skipped for another reason.
        scale.update(tf.constant([7.0, 8.0, 9.0]), skipped=1.0)
        np.testing.assert_array_equal(scale.average.sums, before)


@pytest.mark.parametrize("name", sorted({k.split("/")[0] for k in GOLDEN.group("slow")}))
def test_recorded_slow_copy(name):
    setting = parse_pairs(GOLDEN.setting(f"slow/{name}/0/slow"))
    recorded = GOLDEN.group(f"slow/{name}")
    slow, fast = (keras.layers.Dense(recorded["initial"].shape[1], use_bias=False) for _ in "12")
    for layer in (slow, fast):
        layer.build((None, len(recorded["initial"])))
    fast.kernel.assign(recorded["initial"])
    rate = setting["rate"]
    copy = SlowCopy(slow, fast, every=setting["every"], fraction=rate, first_fraction=rate)
    for index in range(sum(key.endswith("/slow") for key in recorded)):
        fast.kernel.assign(recorded[f"{index}/source"])
        copy.update()
        assert_close(slow.kernel.numpy(), recorded[f"{index}/slow"])


class Normal:
    """A policy with given means and standard deviations."""

    def __init__(self, mean, std):
        self._dist = tfd.Independent(tfd.Normal(mean, std), 1)

    def log_prob(self, action):
        return self._dist.log_prob(action)

    def entropy(self):
        return {"action": self._dist.entropy()}


class Categories:
    """A policy with given logits."""

    def __init__(self, logits):
        self._dist = OneHot(logits)

    def log_prob(self, action):
        return self._dist.log_prob(action)

    def entropy(self):
        return {"action": self._dist.entropy()}


class Case:
    """One recorded update: inputs time first, and the behaviour that they are fed to."""

    def __init__(self, behavior, name):
        self.behavior = behavior
        recorded = GOLDEN.group(f"{name}/in")
        weights = recorded.pop("loss_weight")
        self.loss_weights = [tf.constant(w.T) for w in weights]
        self.inputs = {k: tf.constant(np.swapaxes(v, 0, 1)) for k, v in recorded.items()}
        bins = symexp_bins(GOLDEN.settings["bins"])
        self.value_dist = lambda: TwoHot(self.inputs["vlogit"], bins)
        self.slow_dist = lambda: TwoHot(self.inputs["slogit"], bins)

    def policy(self):
        inputs = self.inputs
        if "plogit" in inputs:
            return Categories(inputs["plogit"][:-1])
        return Normal(inputs["mean"][:-1], inputs["std"][:-1])

    def action(self):
        action = self.inputs["act"][:-1]
        if "plogit" in self.inputs:
            return tf.one_hot(action, self.inputs["plogit"].shape[-1])
        return action

    def losses(self):
        """As `ActorCritic.imagined_losses`, from recorded outputs in the place of networks."""
        behavior, inputs = self.behavior, self.inputs
        dist = self.value_dist()
        value = tf.stop_gradient(dist.mean())
        slow_value = tf.stop_gradient(self.slow_dist().mean())
        target = slow_value if behavior.config.slow_target else value
        returns = behavior.returns(inputs["rew"], inputs["con"], target)
        returns, weight = tf.stop_gradient(returns), behavior.weights(inputs["con"])
        policy, metrics = behavior.actor_loss(self.policy(), self.action(), returns, target, weight)
        dist = TwoHot(inputs["vlogit"][:-1], dist.bins)
        return (
            policy,
            behavior.critic_loss(
                dist, returns, slow_value[:-1], weight, behavior.config.slow_scale
            ),
            returns,
            metrics,
        )


def make_behavior():
    imag, repl = GOLDEN.settings["imag_loss"], GOLDEN.settings["repl_loss"]
    assert imag["horizon"] == repl["horizon"]
    norm = GOLDEN.settings["retnorm"]
    options = {
        "actor": {"layers": 1, "units": 4},
        "critic": {"layers": 1, "units": 4, "bins": GOLDEN.settings["bins"]},
        "cont_discount": imag["contdisc"],
        "slow_target": imag["slowtar"],
        "horizon": imag["horizon"],
        "return_lambda": imag["lam"],
        "replay_lambda": repl["lam"],
        "entropy_scale": imag["actent"],
        "slow_scale": imag["slowreg"],
        "replay_slow_scale": repl["slowreg"],
        "return_norm": {
            "kind": {"perc": "percentiles", "meanstd": "deviation", "none": "none"}[norm["impl"]],
            "rate": norm["rate"],
            "limit": norm["limit"],
            "low": norm["perclo"],
            "high": norm["perchi"],
            "debias": norm["debias"],
        },
    }
    resolved = config.load([], {"dreamerv3": options}).config
    encoder = ActionEncoder({"action": Space("float32", (GOLDEN.settings["action"],), -1, 1)})
    return ActorCritic(resolved.dreamerv3, 4, encoder, dtype="float32")


@pytest.fixture(params=sorted({name.split("/")[0] for name in CASES}))
def cases(request):
    """The recorded updates of one kind of policy, which share the scale of returns."""
    behavior = make_behavior()
    return [(name, Case(behavior, name)) for name in CASES if name.startswith(f"{request.param}/")]


def test_recorded_losses_in_imagination(cases):
    for name, case in cases:
        watched = {k: v for k, v in case.inputs.items() if v.dtype.is_floating and k != "act"}
        with tf.GradientTape() as tape:
            tape.watch(watched)
            policy, value, returns, metrics = case.losses()
            case.behavior.return_scale.update(returns, skipped=0.0)
            weights = case.loss_weights
            total = tf.reduce_sum(weights[0] * policy) + tf.reduce_sum(weights[1] * value)
        recorded = GOLDEN.group(name)
        assert_close(np.transpose(returns), recorded["ret"])
        assert_close(np.transpose(policy), recorded["policy_loss"])
        assert_close(np.transpose(value), recorded["value_loss"])
        assert_close(np.transpose(case.value_dist().mean()), recorded["val"])
        assert_close(np.transpose(case.slow_dist().mean()), recorded["slowval"])
        for key, ours in METRICS.items():
            assert_close(metrics[ours], recorded[f"metric/{key}"], name=key)
        kept = [recorded[key] for key in RETURN_NORMS if key in recorded]
        if kept:
            assert_close(case.behavior.return_scale.average.sums, np.stack(kept))
        gradients = tape.gradient(total, watched, unconnected_gradients="zero")
        for key, expected in GOLDEN.group(f"{name}/grad").items():
            gradient = np.swapaxes(gradients[key], 0, 1)
            assert_close(gradient, expected, tolerance=1e-4, name=f"gradient of {key}")


def test_recorded_losses_in_replay(cases):
    for name, case in cases:
        behavior = case.behavior
        recorded = GOLDEN.group(f"{name}/replay")
        inputs = {key: tf.constant(recorded[f"in/{key}"].T) for key in ("rew", "last", "term")}
        bootstrap = tf.constant(recorded["in/boot"].T)
        returns = behavior.replay_returns(inputs["rew"], inputs["last"], inputs["term"], bootstrap)
        assert_close(np.transpose(returns), recorded["ret"])
        logits = case.inputs["vlogit"]
        with tf.GradientTape() as tape:
            tape.watch(logits)
            dist = TwoHot(logits[:-1], case.value_dist().bins)
            weight = 1.0 - tf.cast(inputs["last"][:-1], tf.float32)
            slow_value, scale = case.slow_dist().mean()[:-1], behavior.config.replay_slow_scale
            loss = behavior.critic_loss(dist, returns, slow_value, weight, scale)
            total = tf.reduce_sum(case.loss_weights[1] * loss)
        assert_close(np.transpose(loss), recorded["loss"])
        gradient = np.swapaxes(tape.gradient(total, logits), 0, 1)
        assert_close(gradient, recorded["grad_vlogit"], tolerance=1e-4)
