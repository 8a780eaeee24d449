"""One whole training step and two policy calls against the DreamerV2 recordings."""

import contextlib
import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import config as configs
from dreamer_tf.agents import DreamerV2
from dreamer_tf.distributions import TruncatedNormal
from dreamer_tf.specs import Space
from dreamer_tf.world_model import State, get_feat
from tests.acting import act
from tests.golden_data import BFLOAT16, Golden, assert_close
from tests.golden_v2 import (
    arrange,
    decoder_places,
    encoder_places,
    head_places,
    load,
    read,
    rssm_places,
)

RECORDINGS = ["v2_agent_cont", "v2_agent_disc", "v2_agent_both", "v2_agent_gauss"]
CLIP_REWARDS = {"identity": "none", "sign": "sign", "tanh": "tanh"}


class RecordedTruncatedNormal(TruncatedNormal):
    """Takes the raw sample that was recorded in place of a uniform draw."""

    def quantile(self, uniform):
        return uniform


def options(s):
    """The options that a recording's settings amount to."""
    head = {"layers": s["reward_head"]["layers"], "units": s["reward_head"]["units"]}
    multi = {
        name: {
            "image_keys": s[name]["cnn_keys"],
            "vector_keys": s[name]["mlp_keys"],
            "depth": s[name]["cnn_depth"],
            "vector_layers": len(s[name]["mlp_layers"]),
        }
        for name in ("encoder", "decoder")
    }
    rssm, kl = s["rssm"], s["kl"]
    norm = s["reward_norm"]
    return multi | {
        "rssm": {
            "deter": rssm["deter"],
            "hidden": rssm["hidden"],
            "latent": "categorical" if rssm["discrete"] else "gaussian",
            "stoch": rssm["stoch"],
            "classes": rssm["discrete"] or 2,
            "min_std": rssm["min_std"],
            "std_activation": rssm["std_act"],
        },
        "activation": rssm["act"],
        "norm": rssm["norm"],
        "reward": head,
        "cont": {key: s["discount_head"][key] for key in ("layers", "units")},
        "critic": {key: s["critic"][key] for key in ("layers", "units")},
        "actor": {key: s["actor"][key] for key in ("layers", "units", "min_std")},
        "clip_rewards": CLIP_REWARDS[s["clip_rewards"]],
        "decoder_gradient": "decoder" in s["grad_heads"],
        "reward_gradient": "reward" in s["grad_heads"],
        "discount_gradient": "discount" in s["grad_heads"],
        "discount_model": s["pred_discount"],
        "reward_scale": s["loss_scales"]["reward"],
        "discount_scale": s["loss_scales"]["discount"],
        "kl_scale": s["loss_scales"]["kl"],
        "observation_scales": {
            key: scale
            for key, scale in s["loss_scales"].items()
            if any(re.match(s["decoder"][keys], key) for keys in ("cnn_keys", "mlp_keys"))
            and key not in ("reward", "discount", "kl")
        },
        "kl_balance": kl["balance"],
        "kl_forward": kl["forward"],
        "free_nats": kl["free"],
        "free_nats_per": "batch" if kl["free_avg"] else "step",
        "imag_horizon": s["imag_horizon"],
        "discount": s["discount"],
        "return_lambda": s["discount_lambda"],
        "actor_gradient": s["actor_grad"],
        "actor_gradient_mix": str(s["actor_grad_mix"]),
        "entropy_scale": str(s["actor_ent"]),
        "slow_every": s["slow_target_update"],
        "slow_fraction": float(s["slow_target_fraction"]),
        "reward_norm": {
            "momentum": norm["momentum"],
            "scale": norm["scale"],
            "epsilon": norm["eps"],
        },
        "model_optimizer": optimizer(s["model_opt"]),
        "actor_optimizer": optimizer(s["actor_opt"]),
        "critic_optimizer": optimizer(s["critic_opt"]),
    }


def optimizer(s):
    """The options of a recorded optimiser."""
    return {
        "learning_rate": s["lr"],
        "epsilon": s["eps"],
        "grad_clip": float(s["clip"]),
        "weight_decay": s["wd"],
    }


def make_config(s, precision):
    """The config of a recording's settings, dense layers of different widths included."""
    config = configs.load([], {"precision": precision, "dreamerv2": options(s)}).config
    widths = {
        name: dataclasses.replace(
            getattr(config.dreamerv2, name), vector_units=tuple(s[name]["mlp_layers"])
        )
        for name in ("encoder", "decoder")
    }
    return dataclasses.replace(config, dreamerv2=dataclasses.replace(config.dreamerv2, **widths))


class Recording:
    """A recording and the agent that it describes, with its weights."""

    def __init__(self, name, precision="float32", **changes):
        self.golden = golden = Golden(name)
        self.settings = s = golden.settings | changes
        self.is_discrete = s["action_kind"] == "onehot"
        self.has_classes = bool(s["rssm"]["discrete"])
        observations = golden.group("data").keys() - {
            *("action", "reward", "is_first", "is_last", "is_terminal")
        }
        self.obs_space = {
            key: Space(golden[f"data/{key}"].dtype, golden[f"data/{key}"].shape[2:])
            for key in sorted(observations)
        }
        act_space = {
            "action": Space(np.int32, (), 0, s["action"] - 1)
            if self.is_discrete
            else Space(np.float32, (s["action"],), -1, 1)
        }
        self.agent = agent = DreamerV2(make_config(s, precision), self.obs_space, act_space)
        actor = agent.behavior.actor
        if not self.is_discrete:
            actor.dist_of = lambda outputs: RecordedTruncatedNormal(
                *(getattr(type(actor).dist_of(actor, outputs), name) for name in ("loc", "scale"))
            )
        self.places = self._places()
        load(self.places, golden.group("param"))
        self.load_counters()

    def load_counters(self):
        self.agent.grad_steps.assign(self.settings["step"])
        self.agent.behavior.slow_critic.updates.assign(self.settings["slow_updates_before"])
        self.agent.behavior.reward_scale.magnitude.assign(1.0)

    def _places(self):
        model, behavior = self.agent.world_model, self.agent.behavior
        halves = () if self.is_discrete else ("out", "out_std")
        places = encoder_places(model.encoder) | rssm_places(model.rssm)
        places |= decoder_places(model.objective.decoder)
        for name, head in model.heads.items():
            places |= head_places({"cont": "discount"}.get(name, name), head)
        places |= head_places("actor", behavior.actor, halves)
        places |= head_places("critic", behavior.critic)
        return places | head_places("slow_critic", behavior.slow_critic.network)

    def batch(self):
        """The recorded batch as `prepare` returns it; recorded actions are vectors already."""
        with self.vectors():
            return self.agent.prepare(self.rows())

    def rows(self):
        return {key: tf.constant(value) for key, value in self.golden.group("data").items()}

    def update(self):
        """The update of the recorded batch."""
        with self.vectors():
            return self.agent.update(self.rows(), self.noise())

    @contextlib.contextmanager
    def vectors(self):
        """Lets actions that are vectors already pass the agent's encoder."""
        encoder = self.agent.actions
        encoder.encode, original = lambda actions: actions["action"], encoder.encode
        yield
        encoder.encode = original

    def noise(self):
        golden = self.golden
        latent = "index" if self.has_classes else "noise"
        action = "index" if self.is_discrete else "raw"
        return {
            "post": tf.constant(np.swapaxes(golden[f"sample/post_{latent}"], 0, 1)),
            "imagine": tf.constant(golden[f"sample/imagine_{latent}"]),
            "action": tf.constant(golden[f"sample/action_{action}"]),
        }

    def flat(self, stoch):
        return stoch.reshape(*stoch.shape[:-2], -1) if self.has_classes else stoch

    def start(self):
        """Recorded posterior states, ``[N, ...]``."""
        recorded = self.golden.group("post")
        stats = {k: v for k, v in recorded.items() if k not in ("deter", "stoch")}
        state = State(recorded["deter"], self.flat(recorded["stoch"]), stats)
        return tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), state)


@pytest.fixture(scope="module", params=RECORDINGS)
def recording(request):
    return Recording(request.param)


def test_recorded_world_model_loss(recording):
    golden, agent = recording.golden, recording.agent
    load(recording.places, golden.group("param"))
    loss, post, metrics = agent.model_loss(recording.batch(), recording.noise()["post"])
    assert_close(loss, golden["out/model_loss"])
    assert_close(post.deter, golden["post/deter"])
    assert_close(post.stoch, recording.flat(golden["post/stoch"]))
    for key, value in post.stats.items():
        assert_close(value, golden[f"post/{key}"])
    assert_close(metrics["kl"], golden["out/kl"].mean())
    assert_close(metrics["kl_loss"], golden["out/kl_loss"])
    for key in recording.obs_space:
        assert_close(metrics[f"{key}_loss"], golden[f"out/{key}_loss"], name=key)
        assert_close(-metrics[f"{key}_loss"], golden[f"out/like/{key}"].mean(), name=key)
    assert_close(metrics["reward_loss"], golden["out/reward_loss"])
    if agent.config.discount_model:
        assert_close(metrics["cont_loss"], golden["out/discount_loss"])
    assert_close(metrics["prior_entropy"], golden["out/prior_ent"])
    assert_close(metrics["post_entropy"], golden["out/post_ent"])


def test_recorded_world_model_loss_in_bfloat16():
    recording = Recording("v2_agent_cont", "mixed_bfloat16")
    golden = recording.golden
    load(recording.places, golden.group("param"))
    batch, noise = recording.batch(), recording.noise()["post"]
    loss, post, metrics = recording.agent.model_loss(batch, noise)
    assert_close(loss, golden["out/model_loss"], tolerance=BFLOAT16)
    assert_close(post.deter, golden["post/deter"], tolerance=BFLOAT16)
    assert_close(metrics["kl"], golden["out/kl"].mean(), tolerance=BFLOAT16)


def test_recorded_imagination_with_the_updated_model(recording):
    golden, agent = recording.golden, recording.agent
    # The world model has learned already, the actor and the critics have not.
    behavior = ("actor/", "critic/", "slow_critic/")
    after, param = golden.group("after"), golden.group("param")
    load(
        recording.places,
        {name: (param if name.startswith(behavior) else after)[name] for name in param},
    )
    recording.load_counters()
    feat, action, outputs = agent.behavior.imagine(
        agent.world_model.rssm, recording.start(), recording.noise()
    )
    assert_close(feat, golden["imag/feat"])
    assert_close(action, golden["imag/action"][1:])
    reward = agent.behavior.reward_scale(agent.world_model.heads["reward"](feat))
    assert_close(reward, golden["imag/reward"])
    discount = agent.imagined_discount(golden["data/is_terminal"])(feat)
    assert_close(discount, golden["imag/discount"])
    target, _ = agent.behavior.returns(feat, reward, discount)
    assert_close(target, golden["imag/target"])


def test_recorded_update(recording):
    golden, agent = recording.golden, recording.agent
    load(recording.places, golden.group("param"))
    recording.load_counters()
    captured = {}
    steps = (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step)
    for step in steps:
        capture_gradients(step, captured, recording.places)
    metrics, carry = recording.update()
    assert carry == ()

    assert_metrics(recording, metrics)
    for name, expected in golden.group("grad").items():
        assert_close(captured[name], expected, tolerance=1e-4, name=f"gradient of {name}")
    norms = golden.group("gradnorm")
    assert norms.keys() == captured.keys()
    for name, expected in norms.items():
        norm = np.linalg.norm(captured[name].ravel())
        assert_close(norm, expected, tolerance=1e-4, name=f"gradient norm of {name}")
    values, after = read(recording.places), golden.group("after")
    assert values.keys() == after.keys()
    for name, expected in after.items():
        assert_close(values[name], expected, name=name)
    assert_close(agent.behavior.reward_scale.magnitude, golden["out/reward_mag"])
    for step in steps:
        del step.gradients


def test_recorded_update_as_one_graph(recording):
    golden, agent = recording.golden, recording.agent
    load(recording.places, golden.group("param"))
    recording.load_counters()
    for step in (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step):
        for variable in step.optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(tf.zeros_like(variable))
    metrics, _ = tf.function(recording.update, autograph=False)()
    assert_metrics(recording, metrics)
    after = read(recording.places)
    for name, expected in golden.group("after").items():
        assert_close(after[name], expected, name=name)


def test_each_optimiser_has_a_clip_of_its_own():
    """As recorded, but for the clips of actor and critic, on which no other gradient depends."""
    golden = Golden("v2_agent_cont")
    clips = {"model": golden.settings["model_opt"]["clip"]}
    for name, share in (("actor", 0.5), ("critic", 0.01)):
        clips[name] = share * float(golden[f"out/{name}_grad_norm"])
    changes = {
        f"{name}_opt": golden.settings[f"{name}_opt"] | {"clip": clip}
        for name, clip in clips.items()
    }
    recording = Recording("v2_agent_cont", **changes)
    behavior = recording.agent.behavior
    steps = (recording.agent.model_step, behavior.actor_step, behavior.critic_step)
    recording.update()
    recorded = golden.group("grad")
    for step in steps:
        norm = float(golden[f"out/{step.name}_grad_norm"])
        # After one update Adam's average is a tenth of the clipped gradient.
        momenta = [v for v in step.optimizer.variables if v.path.endswith("momentum")]
        averages = arrange(recording.places, step.targets, [v.numpy() for v in momenta])
        scale = 0.1 * min(1.0, clips[step.name] / norm)
        seen = averages.keys() & recorded.keys()
        assert seen
        for name in seen:
            assert_close(averages[name] / scale, recorded[name], tolerance=1e-4, name=name)


def assert_metrics(recording, metrics):
    golden = recording.golden
    names = {
        "actor_loss": "actor_loss",
        "critic_loss": "critic_loss",
        "actor_entropy": "actor_ent",
        "actor_entropy_scale": "actor_ent_scale",
        "imag_return": "critic_target",
        "imag_value": "critic_slow",
        "imag_reward": "reward_normed_mean",
    }
    if recording.settings["actor_grad"] == "both":
        names["actor_gradient_mix"] = "actor_grad_mix"
    for ours, recorded in names.items():
        assert_close(metrics[ours], golden[f"out/{recorded}"], name=ours)
    for name in ("model", "actor", "critic"):
        norm = golden[f"out/{name}_grad_norm"]
        assert_close(metrics[f"{name}_grad_norm"], norm, tolerance=1e-4, name=name)
    assert metrics["nonfinite"] == 0


def capture_gradients(step, captured, places):
    """Lets a step's gradients be seen on their way."""
    original = step.gradients

    def gradients(tape, loss):
        result = original(tape, loss)
        captured.update(arrange(places, step.targets, result))
        return result

    step.gradients = gradients


def test_recorded_policy_calls(recording):
    golden, agent = recording.golden, recording.agent
    load(recording.places, golden.group("param"))
    data = golden.group("data")
    latent = "index" if recording.has_classes else "noise"
    batch_size = len(data["reward"])
    obs = [{key: data[key][:, t] for key in recording.obs_space} for t in range(2)]
    is_first = np.ones(batch_size, bool)

    recorded = golden.group("policy/0_train")
    noise = {
        "post": tf.constant(recorded[f"post_{latent}"]),
        "action": tf.constant(recorded["action_index" if recording.is_discrete else "action_raw"]),
        "explore": tf.zeros([batch_size, 2 if recording.is_discrete else agent.actions.size]),
    }
    state = agent.initial_state(batch_size)
    action, state = act(agent, obs[0], state, tf.constant(is_first), noise)
    assert_close(action, recorded["action"])
    assert_close(state[0].deter, recorded["deter"])

    recorded = golden.group("policy/1_eval")
    is_first[1:] = False
    noise = {"post": tf.constant(recorded[f"post_{latent}"])}
    action, state = act(agent, obs[1], state, tf.constant(is_first), noise, "eval")
    assert_close(action, recorded["action"])
    assert_close(state[0].deter, recorded["deter"])


def test_settings_of_the_recordings_differ_where_it_matters():
    settings = [options(Golden(name).settings) for name in RECORDINGS]
    for key in ("actor_gradient", "clip_rewards", "norm", "kl_balance", "reward_gradient"):
        assert len({s[key] for s in settings}) > 1, key


def test_features_hold_stoch_before_deter():
    state = State(tf.ones([1, 2]), tf.zeros([1, 3]), {})
    np.testing.assert_array_equal(get_feat(state), [[0, 0, 0, 1, 1]])
