"""Losses, gradients, three updates and two policy calls against the DreamerV3 recordings."""

import ast
import re

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from dreamer_tf.world_model import State
from tests.golden_data import BFLOAT16, Golden, assert_close
from tests.golden_v2 import arrange, load, read
from tests.golden_v3 import (
    actor_places,
    decoder_places,
    encoder_places,
    head_places,
    rssm_places,
)

RECORDINGS = ["v3_agent_cont", "v3_agent_disc", "v3_agent_slow"]
FLAGS = ("reward", "is_first", "is_last", "is_terminal")
# Recorded name of a loss to ours; those of the observations are equal.
LOSSES = {"rew": "reward", "con": "cont", "repval": "replay_value"}
SCALES = {"rec": "reconstruction", **LOSSES}
RETURN_NORMS = ("retnorm/lo", "retnorm/hi", "retnorm/mean", "retnorm/sqrs")
METRICS = {
    "adv": "advantage",
    "adv_std": "advantage_std",
    "adv_mag": "advantage_size",
    "rew": "imag_reward",
    "con": "imag_cont",
    "ret": "return_normed",
    "val": "imag_value",
    "slowval": "imag_slow_value",
    "ret_min": "return_normed_min",
    "ret_max": "return_normed_max",
    "ret_rate": "return_large",
    "dyn_ent": "prior_entropy",
    "rep_ent": "post_entropy",
}


def parse_space(text):
    """The space that a recording describes; the upper end of integers is not part of it."""
    dtype, shape, low, high = re.fullmatch(
        r"Space\((\w+), shape=(\(.*\)), low=(.*), high=(.*)\)", text
    ).groups()
    limits = (int(low), int(high) - 1) if dtype == "int32" else (None, None)
    return Space(dtype, ast.literal_eval(shape), *limits)


def overrides(settings):
    """Our options for recorded settings."""
    s = settings["config"]
    rssm, encoder, decoder = s["dyn"]["rssm"], s["enc"]["simple"], s["dec"]["simple"]
    for part in (rssm, encoder, decoder, s["rewhead"], s["policy"], s["value"]):
        assert (part["act"], part["norm"]) == ("silu", "rms"), "DreamerV3 has no other layers"
    both = ("depth", "mults", "kernel", "strided", "outer")
    assert [encoder[key] for key in both] == [decoder[key] for key in both]
    assert not s["ac_grads"] and s["repval_loss"]
    assert s["valnorm"]["impl"] == s["advnorm"]["impl"] == "none"
    opt = s["opt"]
    assert opt["momentum"]
    kinds = {"perc": "percentiles", "meanstd": "deviation", "none": "none"}
    head = {name: {k: s[key][k] for k in ("layers", "units")} for name, key in HEADS.items()}
    norm = s["retnorm"]
    return {
        "rssm": {
            **{key: rssm[key] for key in ("deter", "hidden", "stoch", "classes", "blocks")},
            "unimix": rssm["unimix"],
            "absolute": rssm["absolute"],
            "layers": rssm["dynlayers"],
            "prior_layers": rssm["imglayers"],
            "post_layers": rssm["obslayers"],
        },
        "pyramid": {
            "depth": encoder["depth"],
            "multiples": encoder["mults"],
            "kernel": encoder["kernel"],
            "resampling": "stride" if encoder["strided"] else "pool",
            "outer": encoder["outer"],
        },
        "encoder": {key: encoder[key] for key in ("layers", "units", "symlog")},
        "decoder": {
            "layers": decoder["layers"],
            "units": decoder["units"],
            "blocks": decoder["bspace"],
            "symlog": decoder.get("symlog", True),
        },
        **head,
        "actor": head["actor"]
        | {"min_std": s["policy"]["minstd"], "max_std": s["policy"]["maxstd"]},
        **{name: head[name] | {"bins": s[HEADS[name]]["bins"]} for name in ("reward", "critic")},
        "return_norm": {
            "kind": kinds[norm["impl"]],
            "rate": norm["rate"],
            "limit": norm["limit"],
            "low": norm["perclo"],
            "high": norm["perchi"],
            "debias": norm["debias"],
        },
        "loss_scales": {SCALES.get(key, key): scale for key, scale in s["loss_scales"].items()},
        "optimizer": {
            "learning_rate": opt["lr"],
            "warmup": opt["warmup"],
            "schedule": opt["schedule"],
            "anneal": opt["anneal"],
            "grad_clip": opt["agc"],
            "beta1": opt["beta1"],
            "beta2": opt["beta2"],
            "epsilon": opt["eps"],
            "weight_decay": opt["wd"],
            "nesterov": opt.get("nesterov", False),
        },
        "free_nats": rssm["free_nats"],
        "reward_gradient": s["reward_grad"],
        "replay_value_gradient": s["repval_grad"],
        "imag_horizon": s["imag_length"],
        "imag_last": s["imag_last"],
        "horizon": s["horizon"],
        "cont_discount": s["contdisc"],
        "return_lambda": s["imag_loss"]["lam"],
        "replay_lambda": s["repl_loss"]["lam"],
        "entropy_scale": s["imag_loss"]["actent"],
        "slow_rate": s["slowvalue"]["rate"],
        "slow_every": s["slowvalue"]["every"],
        "slow_scale": s["imag_loss"]["slowreg"],
        "replay_slow_scale": s["repl_loss"]["slowreg"],
        "slow_target": s["imag_loss"]["slowtar"],
    }


HEADS = {"reward": "rewhead", "cont": "conhead", "actor": "policy", "critic": "value"}


class Recording:
    """A recording and the agent that it describes."""

    def __init__(self, name, precision="float32"):
        self.golden = golden = Golden(name)
        s = golden.settings
        obs_space = {k: parse_space(v) for k, v in s["obs"].items() if k not in FLAGS}
        act_space = {key: parse_space(text) for key, text in s["act"].items()}
        options = {"agent": "dreamerv3", "precision": precision, "dreamerv3": overrides(s)}
        resolved = config.load([], options)
        self.agent = agent = agents.make(resolved.config, obs_space, act_space)
        model, behavior = agent.world_model, agent.behavior
        size = model.rssm.latent.size
        self.places = {
            **rssm_places(model.rssm),
            **encoder_places(model.encoder),
            **decoder_places(model.objective.decoder),
            **head_places("reward", model.heads["reward"], stoch_size=size),
            **head_places("cont", model.heads["cont"], "out_logit", size),
            **actor_places("policy", behavior.actor, size),
            **head_places("value", behavior.critic, stoch_size=size),
            **head_places("slow_value", behavior.slow_critic.network, stoch_size=size),
        }
        load(self.places, golden.group("param"))
        # Actions were recorded, not what they were drawn with.
        behavior.sample = lambda feat, draws: draws

    def batch(self):
        arrays = self.golden.group("in/obs") | self.golden.group("in/prevact")
        return {key: tf.constant(value) for key, value in arrays.items()}

    def start(self):
        return self.state(self.golden.group("in/carry"))

    def filtered(self):
        """Losses of the world model, and the states that imagination starts from."""
        batch = self.agent.prepare(self.batch())
        losses, post, _ = self.agent.model_losses(batch, self.noise(0)["post"], self.start())
        count = self.agent._starts(post.deter.shape[1])
        return batch, losses, post, tf.nest.map_structure(lambda x: x[:, -count:], post)

    def state(self, arrays):
        stoch = arrays["stoch"].reshape(len(arrays["stoch"]), -1)
        initial = self.agent.world_model.rssm.initial_state(len(stoch))
        return State(tf.constant(arrays["deter"]), tf.constant(stoch), initial.stats)

    def vector(self, name):
        """Recorded actions as vectors: one array where there is one key, else one for each."""
        if name in self.golden.arrays:
            [key] = self.agent.act_space
            return self.agent.actions.encode({key: self.golden[name]})
        return self.agent.actions.encode(self.golden.group(name))

    def noise(self, step):
        golden = self.golden
        action = tf.transpose(self.vector(f"step{step}/imag_action"), [1, 0, 2])
        return {
            "post": tf.constant(np.swapaxes(golden[f"step{step}/post_index"], 0, 1)),
            "imagine": tf.constant(np.swapaxes(golden[f"step{step}/imag_index"], 0, 1)),
            "action": action[:-1],
        }


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    return Recording(request.param)


def test_recorded_policy_calls(recording):
    golden, agent = recording.golden, recording.agent
    obs = {key: golden[f"in/obs/{key}"] for key in agent.obs_space}
    count = len(golden["in/carry/deter"])
    state = agent.initial_state(count)
    for call, is_first in enumerate([np.ones(count, bool), np.arange(count) == 0]):
        recorded = golden.group(f"policy/{call}")
        action = recording.vector(f"policy/{call}/action")
        noise = agent.policy_noise(count, agent.rng, "train")
        noise |= {"post": tf.constant(recorded["post_index"])}
        now = {key: tf.constant(value[:, call]) for key, value in obs.items()}
        _, state = agent.act(now, state, tf.constant(is_first), noise, "train")
        # Actions were recorded, not what they were drawn with.
        state = state._replace(action=action)
        latent = state.latent
        assert_close(latent.deter, recorded["deter"])
        feat = tf.concat([latent.stoch, latent.deter], -1)
        dist = agent.behavior.actor.dist(feat).dists[0]
        for name in ("mean", "std"):
            if f"policy_{name}" in recorded:
                assert_close(getattr(dist, name), recorded[f"policy_{name}"])
        if "policy_logits" in recorded:
            assert_close(dist.log_probs, tf.nn.log_softmax(recorded["policy_logits"]))


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_losses(name):
    recording = Recording(name)
    golden, agent = recording.golden, recording.agent
    recorded = golden.group("step0")
    batch, losses, post, recent = recording.filtered()
    imagined = agent.imagine(recent, recording.noise(0))
    losses |= agent.behavior_losses(batch, recent, *imagined)[0]
    assert_close(post.deter, recorded["deter"])
    assert_close(post.stats["logit"], recorded["logit"])
    names = {key.removeprefix("loss/") for key in recorded if key.startswith("loss/")}
    assert losses.keys() == {LOSSES.get(name, name) for name in names}
    for name in names:
        assert_close(losses[LOSSES.get(name, name)], recorded[f"loss/{name}"], name=name)


def test_recorded_losses_of_the_model_in_bfloat16():
    recording = Recording("v3_agent_cont", "mixed_bfloat16")
    recorded = recording.golden.group("step0")
    _, losses, post, _ = recording.filtered()
    assert_close(post.deter, recorded["deter"], tolerance=BFLOAT16)
    names = {ours: theirs for theirs, ours in LOSSES.items()}
    for name, loss in losses.items():
        expected = recorded[f"loss/{names.get(name, name)}"]
        assert_close(loss, expected, tolerance=BFLOAT16, name=name)


def test_recorded_imagination(recording):
    golden, agent = recording.golden, recording.agent
    recorded, noise = golden.group("step0"), recording.noise(0)
    _, _, _, recent = recording.filtered()
    trajectory, reward, cont = agent.imagine(recent, noise)
    size = agent.config.rssm.deter
    deter = tf.concat([trajectory.feat, trajectory.last], 0)[1:, :, -size:]
    expected = {
        "deter": deter,
        "rew": reward,
        "con": cont,
        "val": trajectory.map(lambda feat: agent.behavior.critic.dist(feat).mean()),
        "slowval": trajectory.map(agent.behavior.slow_value),
    }
    for name, ours in expected.items():
        assert_close(np.swapaxes(ours, 0, 1), recorded[f"imag/{name}"], name=name)
    policy = agent.behavior.actor.dist(trajectory.feat)
    log_prob = np.swapaxes(policy.log_prob(trajectory.action), 0, 1)
    entropy = np.swapaxes(sum(policy.entropy().values()), 0, 1)
    assert_close(log_prob, recorded["imag/logpi"][:, :-1])
    assert_close(entropy, recorded["imag/entropy"][:, :-1])


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_updates(name):
    recording = Recording(name)
    golden, agent = recording.golden, recording.agent
    captured = capture_gradients(agent.step, recording.places)
    steps = sum(key.endswith("/total_loss") for key in golden.arrays)
    for step in range(steps):
        recorded = golden.group(f"step{step}")
        captured.clear()
        before = snapshot(agent)
        carry = agent._to_carry(recording.start())
        metrics, _ = agent.update(recording.batch(), recording.noise(step), carry)
        assert_close(metrics["model_loss"], recorded["total_loss"])
        assert_close(metrics["model_grad_norm"], recorded["grad_norm"], tolerance=1e-4)
        for key, ours in METRICS.items():
            assert_close(metrics[ours], recorded[f"metric/{key}"], name=f"{step} {key}")
        for key in agent.act_space:
            assert_close(metrics[f"{key}_entropy"], recorded[f"metric/ent/{key}"])
            if f"metric/rand/{key}" in recorded:
                assert_close(metrics[f"{key}_randomness"], recorded[f"metric/rand/{key}"])
        moved = np.concatenate([a - b for a, b in zip(snapshot(agent), before, strict=True)])
        rms = np.sqrt(np.mean(np.square(moved.astype(np.float64))))
        assert_close(rms, recorded["update_rms"], tolerance=1e-4)
        gradients = golden.group("grad" if step == 0 else f"step{step}/grad")
        assert captured.keys() == gradients.keys()
        for key, expected in gradients.items():
            assert_close(captured[key], expected, tolerance=1e-4, name=f"{step} gradient of {key}")
        kept = [recorded[key] for key in RETURN_NORMS if key in recorded]
        if kept:
            assert_close(agent.behavior.return_scale.average.sums, np.stack(kept))
    after = read(recording.places)
    recorded = golden.group("after")
    assert after.keys() == recorded.keys()
    for key, expected in recorded.items():
        assert_close(after[key], expected, name=key)


def snapshot(agent):
    return [variable.numpy().ravel() for variable in agent.step.targets]


def capture_gradients(step, places):
    """Lets a step's gradients be seen on their way."""
    original, captured = step.gradients, {}

    def gradients(tape, loss):
        result = original(tape, loss)
        captured.update(arrange(places, step.targets, result))
        return result

    step.gradients = gradients
    return captured
