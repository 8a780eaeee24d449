"""DreamerV2: what an update may touch, and where gradients go."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.world_model import SplitKL
from tests.acting import uncompiled
from tests.agents.small_dreamerv2 import (
    NO_DECAY,
    OBS_SPACE,
    SPACES,
    make_agent,
    make_batch,
    parts,
    snapshot,
    steps,
    unchanged,
)


@pytest.mark.parametrize("trained", ["model", "actor", "critic"])
def test_each_learning_rate_moves_only_its_own_networks(trained):
    agent = make_agent(**NO_DECAY)
    uncompiled(agent)
    for step in steps(agent):
        step.optimizer.learning_rate = 1e-3 if step.name == trained else 0.0
    agent.behavior.slow_critic.updates.assign(1)  # the next copy is far away
    before = {name: snapshot(variables) for name, variables in parts(agent).items()}
    agent.train_step(make_batch(), ())
    for name, variables in parts(agent).items():
        assert unchanged(before[name], variables) == (name != trained), name


@pytest.mark.parametrize("half", ["dyn", "rep"])
def test_each_half_of_the_balanced_kl_moves_only_its_side(half):
    agent = make_agent(free_nats=0.0)
    batch = agent.prepare(make_batch(length=2))
    rssm = agent.world_model.rssm
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    sides = {
        "prior": rssm.prior_net.trainable_variables,
        "posterior": [
            *rssm.post_net.trainable_variables,
            *agent.world_model.encoder.trainable_variables,
        ],
    }
    kl = SplitKL(free_nats=0.0)
    with tf.GradientTape() as tape:
        _, post, prior = agent.world_model.observe(batch, noise)
        losses, _ = kl.losses(rssm.latent.kl, post.stats, prior)
        # The first row alone: later ones also depend on the posterior's samples before them.
        loss = tf.reduce_sum(losses[half][:, 0])
    gradients = tape.gradient(loss, {k: [v.value for v in vs] for k, vs in sides.items()})
    moved, still = ("prior", "posterior") if half == "dyn" else ("posterior", "prior")
    assert all(np.abs(g).max() > 0 for g in gradients[moved])
    assert all(g is None or not np.any(g) for g in gradients[still])


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("gradient", ["reinforce", "dynamics", "both"])
def test_only_the_dynamics_gradient_enters_the_world_model(gradient, act_space):
    agent = make_agent(act_space=act_space, actor_gradient=gradient, entropy_scale="0")
    batch = agent.prepare(make_batch(act_space=act_space))
    noise = agent.update_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(batch, noise["post"])
    start = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), post)
    behavior, model = agent.behavior, agent.world_model
    with tf.GradientTape(persistent=True) as tape:
        feat, action, outputs = behavior.imagine(model.rssm, start, noise)
        reward, discount = model.heads["reward"](feat), tf.fill(feat.shape[:2], 0.99)
        target, value = behavior.returns(feat, reward, discount)
        weight = tf.ones_like(discount)
        loss, _ = behavior.actor_loss(outputs, action, target, value, weight, 0)
    used = [
        *model.rssm.cell.trainable_variables,
        *model.rssm.prior_net.trainable_variables,
        *model.heads["reward"].trainable_variables,
        *behavior.slow_critic.network.trainable_variables,
    ]
    gradients = tape.gradient(loss, [v.value for v in used])
    if gradient == "reinforce":
        assert all(g is None or not np.any(g) for g in gradients)
    else:
        assert all(np.abs(g).max() > 0 for g in gradients)
    assert np.abs(tape.gradient(loss, behavior.actor.out.kernel.value)).max() > 0
    # The imagined trajectory carries nothing back into the states that it starts from.
    assert tape.gradient(loss, behavior.critic.out.kernel.value) is None


def test_the_slow_critic_changes_by_its_copies_alone():
    agent = make_agent(slow_every=3)
    slow, fast = parts(agent)["slow"], parts(agent)["critic"]
    assert unchanged(snapshot(slow), fast)
    copied = []
    for seed in range(7):
        before = snapshot(slow)
        agent.train_step(make_batch(seed=seed), ())
        if unchanged(snapshot(slow), fast):
            copied.append(seed)
        else:
            assert unchanged(before, slow)
    assert copied == [0, 3, 6]


def test_imagination_uses_the_world_model_that_has_just_learned():
    agent = make_agent()
    rows = make_batch()
    batch = agent.prepare(rows)
    noise = agent.update_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(batch, noise["post"])
    start = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), post)
    imagine = agent.behavior.imagine
    seen = []

    def watch(rssm, start, noise):
        seen.append(imagine(rssm, start, noise))
        return seen[-1]

    agent.behavior.imagine = watch
    before, _, _ = imagine(agent.world_model.rssm, start, noise)
    actor = snapshot(agent.behavior.actor.trainable_variables)
    agent.update(rows, noise)
    for variable, value in zip(agent.behavior.actor.trainable_variables, actor, strict=True):
        variable.assign(value)
    after, _, _ = imagine(agent.world_model.rssm, start, noise)
    np.testing.assert_allclose(seen[0][0], after, rtol=1e-5, atol=1e-6)
    assert np.abs(before - after).max() > 1e-4


@pytest.mark.parametrize("name", ["decoder", "reward", "discount"])
def test_detached_heads_learn_without_shaping_the_representation(name):
    options = {"kl_scale": 0.0, "discount_model": True} | NO_DECAY
    others = {"decoder", "reward", "discount"} - {name}
    options |= {f"{other}_gradient": False for other in others}
    agent = make_agent(**options)
    batch = agent.prepare(make_batch())
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    heads = {"decoder": agent.world_model.objective.decoder, **agent.world_model.heads}
    heads["discount"] = heads.pop("cont")
    with tf.GradientTape(persistent=True) as tape:
        loss, _, _ = agent.model_loss(batch, noise)
        losses, _, _ = agent.world_model.losses(
            batch, {"reward": batch["reward"], "cont": 0.99 * tf.ones_like(batch["reward"])}, noise
        )
    encoder = agent.world_model.encoder.mlp.hidden[0].kernel.value
    assert np.abs(tape.gradient(loss, encoder)).max() > 0
    terms = {"decoder": "position", "reward": "reward", "discount": "cont"}
    for other in others:
        assert tape.gradient(losses[terms[other]], encoder) is None
        kernel = heads[other].mlp.out.kernel if other == "decoder" else heads[other].out.kernel
        assert np.abs(tape.gradient(loss, kernel.value)).max() > 0


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_every_variable_gets_a_gradient(act_space, norm):
    options = {"discount_model": True, "free_nats": 0.0, "norm": norm}
    agent = make_agent(OBS_SPACE, act_space, **options)
    uncompiled(agent)
    trained = {id(v) for step in steps(agent) for v in step.targets}
    networks = [*agent.world_model.networks.values(), *agent.behavior.networks.values()]
    assert trained == {id(v) for network in networks for v in network.trainable_variables}
    for seed in range(2):
        agent.train_step(make_batch(OBS_SPACE, act_space, seed=seed), ())
    # Adam's second moment is zero only where every gradient was.
    for step in steps(agent):
        moments = [v for v in step.optimizer.variables if "velocity" in v.path]
        assert len(moments) == len(step.targets)
        for variable, moment in zip(step.targets, moments, strict=True):
            assert np.abs(moment.numpy()).max() > 0, variable.path


# ------------------------------------------------------------- memory between batches
