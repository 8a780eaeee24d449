"""DreamerV2: what an update may touch, what acting must respect, options, checkpoints, traces."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space

OBS_SPACE = {"image": Space(np.uint8, (64, 64, 3)), "position": Space(np.float32, (3,))}
VECTOR = {"position": Space(np.float32, (3,))}
BOX = {"action": Space(np.float32, (2,), -1, 1)}
CATEGORY = {"action": Space(np.int32, (), 0, 3)}
SPACES = {"box": BOX, "category": CATEGORY}


def make_agent(obs_space=VECTOR, act_space=BOX, precision="float32", **overrides):
    tf.keras.utils.set_random_seed(0)
    options = {f"dreamerv2.{key}": value for key, value in overrides.items()}
    cfg = config.load(["debug"], {"agent": "dreamerv2", "precision": precision} | options).config
    return agents.make(cfg, obs_space, act_space)


def make_batch(obs_space=VECTOR, act_space=BOX, batch_size=3, length=6, seed=0):
    rng = np.random.default_rng(seed)
    leading = (batch_size, length)
    batch = {"reward": rng.uniform(0, 1, leading).astype(np.float32)}
    batch |= {key: np.zeros(leading, bool) for key in ("is_first", "is_last", "is_terminal")}
    for key, space in (obs_space | act_space).items():
        if space.dtype == np.float32:
            batch[key] = rng.uniform(-1, 1, (*leading, *space.shape)).astype(np.float32)
        else:
            top = int(space.high.max()) + 1
            batch[key] = rng.integers(0, top, (*leading, *space.shape)).astype(space.dtype)
    return {key: tf.constant(value) for key, value in batch.items()}


def snapshot(variables):
    return [variable.numpy() for variable in variables]


def unchanged(before, variables):
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))


def parts(agent):
    behavior = agent.behavior
    return {
        "model": agent.world_model.trainable_variables,
        "actor": behavior.actor.trainable_variables,
        "critic": behavior.critic.trainable_variables,
        "slow": behavior.slow_critic.network.variables,
    }


def steps(agent):
    behavior = agent.behavior
    return [agent.model_step, behavior.actor_step, behavior.critic_step]


# ------------------------------------------------------------- gradient routing


@pytest.mark.parametrize("trained", ["model", "actor", "critic"])
def test_each_learning_rate_moves_only_its_own_networks(trained):
    agent = make_agent(weight_decay=0.0)
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
    noise = agent.draw_noise(*batch["reward"].shape)["post"]
    sides = {
        "prior": rssm.prior_net.trainable_variables,
        "posterior": [
            *rssm.post_net.trainable_variables,
            *agent.world_model.encoder.trainable_variables,
        ],
    }
    with tf.GradientTape() as tape:
        losses, _, _ = agent.world_model.losses(batch, {"reward": batch["reward"]}, noise)
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
    noise = agent.draw_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(batch, noise["post"])
    start = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), post)
    behavior, model = agent.behavior, agent.world_model
    with tf.GradientTape(persistent=True) as tape:
        feat, action, outputs = behavior.imagine(model.rssm, start, noise)
        reward, discount = model.heads["reward"](feat), tf.fill(feat.shape[:2], 0.99)
        target, value = behavior.target(feat, reward, discount)
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
    batch = agent.prepare(make_batch())
    noise = agent.draw_noise(*batch["reward"].shape)
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
    agent.update(batch, noise)
    for variable, value in zip(agent.behavior.actor.trainable_variables, actor, strict=True):
        variable.assign(value)
    after, _, _ = imagine(agent.world_model.rssm, start, noise)
    np.testing.assert_allclose(seen[0][0], after, rtol=1e-5, atol=1e-6)
    assert np.abs(before - after).max() > 1e-4


@pytest.mark.parametrize("name", ["decoder", "reward", "discount"])
def test_detached_heads_learn_without_shaping_the_representation(name):
    options = {"kl_scale": 0.0, "discount_model": True, "weight_decay": 0.0}
    others = {"decoder", "reward", "discount"} - {name}
    options |= {f"{other}_gradient": False for other in others}
    agent = make_agent(**options)
    batch = agent.prepare(make_batch())
    noise = agent.draw_noise(*batch["reward"].shape)["post"]
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


def test_the_memory_after_a_batch_continues_it():
    agent = make_agent(carry_state=True)
    batch = agent.prepare(make_batch(length=6))
    noise = agent.draw_noise(*batch["reward"].shape)["post"]
    initial = agent.initial_carry(3)
    _, whole, _ = agent.model_loss(batch, noise, initial)
    halves = [{key: value[:, part] for key, value in batch.items()} for part in SPLIT]
    _, first, _ = agent.model_loss(halves[0], noise[:3], initial)
    carry = {"deter": first.deter[:, -1], "stoch": first.stoch[:, -1]}
    _, second, _ = agent.model_loss(halves[1], noise[3:], carry)
    np.testing.assert_allclose(second.deter, whole.deter[:, 3:], rtol=1e-5, atol=1e-6)
    _, forgetful, _ = agent.model_loss(halves[1], noise[3:], initial)
    assert np.abs(forgetful.deter - whole.deter[:, 3:]).max() > 1e-3


SPLIT = (slice(0, 3), slice(3, 6))


def test_train_step_returns_the_memory_after_each_row():
    agent = make_agent(carry_state=True)
    batch, carry = make_batch(), agent.initial_carry(3)
    _, memory = agent.train_step(batch, carry)
    assert memory.keys() == carry.keys()
    for key, value in carry.items():
        assert memory[key].shape == (3, 6, *value.shape[1:])
    last = {key: value[:, -1] for key, value in memory.items()}
    agent.train_step(batch, last)
    assert agent._train.experimental_get_tracing_count() == 1


def test_an_episode_that_begins_forgets_the_memory():
    agent = make_agent(carry_state=True)
    batch = make_batch()
    batch["is_first"] = tf.constant([[True] + [False] * 5] * 3)
    batch = agent.prepare(batch)
    noise = agent.draw_noise(*batch["reward"].shape)["post"]
    carry = {key: value + 1.0 for key, value in agent.initial_carry(3).items()}
    _, with_memory, _ = agent.model_loss(batch, noise, carry)
    _, without, _ = agent.model_loss(batch, noise)
    np.testing.assert_array_equal(with_memory.deter, without.deter)


def test_nothing_is_carried_by_default():
    agent = make_agent()
    assert agent.initial_carry(3) == ()
    batch = agent.prepare(make_batch())
    assert agent.update(batch, agent.draw_noise(*batch["reward"].shape))[1] == ()


# ------------------------------------------------------------- acting


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_actions_are_elements_of_their_space(act_space, mode):
    agent = make_agent(act_space=act_space)
    obs, state = {"position": np.zeros((5, 3), np.float32)}, None
    for _ in range(3):
        actions, state = agent.policy(obs, state, mode)
        for action in actions["action"]:
            act_space["action"].check("action", action)


def test_policy_resets_only_where_an_episode_begins():
    agent = make_agent()
    batch = make_batch(batch_size=2, length=3)
    obs = [{"position": batch["position"][:, t].numpy()} for t in range(3)]
    _, state = agent.policy(obs[0], None)
    _, state = agent.policy(obs[1], state)
    noise = {key: tf.fill([2, 2], 0.5) for key in ("action", "explore")}
    noise["post"] = tf.fill([2, 3], 0.5)
    first = tf.constant([True, False])
    mixed, _ = agent.explore(obs[2], state, first, noise)
    fresh, _ = agent.explore(obs[2], agent.initial_state(2), first, noise)
    kept, _ = agent.explore(obs[2], state, tf.zeros(2, bool), noise)
    np.testing.assert_array_equal(mixed[0], fresh[0])
    np.testing.assert_array_equal(mixed[1], kept[1])
    assert np.abs(mixed[1] - fresh[1]).max() > 0


def test_evaluation_with_the_mode_of_the_state_repeats_itself():
    obs = {"position": np.ones((4, 3), np.float32)}
    for eval_state, repeats in [("mode", True), ("sample", False)]:
        agent = make_agent(eval_state=eval_state)
        actions = [agent.policy(obs, mode="eval")[0]["action"] for _ in range(2)]
        assert np.array_equal(*actions) == repeats


@pytest.mark.parametrize("act_space", SPACES.values(), ids=SPACES)
def test_exploration_is_only_in_train_mode(act_space):
    obs = {"position": np.zeros((300, 3), np.float32)}
    spread = {}
    for noise in (0.0, 1.0):
        agent = make_agent(act_space=act_space, exploration_noise=noise)
        bias = agent.behavior.actor.out.bias
        bias.assign([3.0, *[-9.0] * (bias.shape[0] - 1)])  # nearly always the same action
        for mode in ("train", "eval"):
            actions = agent.policy(obs, mode=mode)[0]["action"]
            spread[noise, mode] = np.std(actions, axis=0).max()
    assert spread[1.0, "train"] > 2 * spread[0.0, "train"] + 0.2
    assert spread[1.0, "eval"] < 0.1 and spread[0.0, "eval"] < 0.1


# ------------------------------------------------------------- options


@pytest.mark.parametrize("per", ["batch", "step"])
def test_free_nats_bound_the_batch_or_each_step(per):
    agent = make_agent(free_nats=0.05, free_nats_per=per)
    batch = agent.prepare(make_batch())
    noise = agent.draw_noise(*batch["reward"].shape)["post"]
    losses, _, _ = agent.world_model.losses(batch, {"reward": batch["reward"]}, noise)
    kl = losses["dyn"].numpy()
    assert kl.min() < 0.05 < kl.max(), "the bound should lie between"
    _, _, metrics = agent.model_loss(batch, noise)
    expected = max(kl.mean(), 0.05) if per == "batch" else np.maximum(kl, 0.05).mean()
    np.testing.assert_allclose(metrics["kl_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["kl"], kl.mean(), rtol=1e-5)


def test_keys_are_chosen_by_regular_expressions():
    options = {"encoder.image_keys": "front|top", "decoder.vector_keys": "$^"}
    spaces = {
        "front": Space(np.uint8, (64, 64, 3)),
        "top": Space(np.uint8, (64, 64, 1)),
        "topmost": Space(np.uint8, (64, 64, 1)),
        "speed": Space(np.float32, (2,)),
    }
    agent = make_agent(spaces, **options)
    encoder, decoder = agent.world_model.encoder, agent.world_model.objective.decoder
    assert (encoder.images, encoder.vectors) == (["front", "top"], ["speed"])
    # Predicted without being seen: information for training only.
    assert (decoder.images, decoder.vectors) == (["front", "top", "topmost"], [])
    metrics, _ = agent.train_step(make_batch(spaces), ())
    assert {"front_loss", "top_loss", "topmost_loss"} <= metrics.keys()
    assert "speed_loss" not in metrics
    assert metrics["nonfinite"] == 0
    with pytest.raises(ValueError, match="the encoder serves no observation.*'camera'"):
        make_agent(spaces, **{"encoder.image_keys": "camera", "encoder.vector_keys": "$^"})


@pytest.mark.parametrize("clip, expected", [("none", 3.0), ("sign", 1.0), ("tanh", np.tanh(3.0))])
def test_rewards_are_transformed_before_they_are_learned(clip, expected):
    agent = make_agent(clip_rewards=clip)
    batch = make_batch()
    batch["reward"] = tf.fill(batch["reward"].shape, 3.0)
    np.testing.assert_allclose(agent.prepare(batch)["reward"], expected, rtol=1e-6)


def test_schedules_follow_the_updates():
    agent = make_agent(actor_gradient="both", actor_gradient_mix="linear(0,1,10)")
    mixes = [float(agent.train_step(make_batch(), ())[0]["actor_gradient_mix"]) for _ in range(3)]
    np.testing.assert_allclose(mixes, [0.0, 0.1, 0.2], atol=1e-6)


def test_a_terminal_start_state_has_no_future():
    agent = make_agent(discount_model=True)
    feat = tf.zeros([5, 6, agent.world_model.rssm.feat_size])
    is_terminal = tf.constant([[False, False, True], [False, True, False]])
    discount = agent.imagined_discount(is_terminal)(feat)
    gamma = agent.config.discount
    np.testing.assert_allclose(discount[0], [gamma, gamma, 0, gamma, 0, gamma], rtol=1e-6)
    assert np.all((discount[1:] > 0) & (discount[1:] < 1))


@pytest.mark.parametrize(
    "overrides",
    [{"rssm.latent": "gaussian", "kl_balance": 0.5}, {"norm": "layer", "activation": "silu"}],
    ids=str,
)
def test_variants_learn(overrides):
    agent = make_agent(model_lr=3e-3, free_nats=0.0, **overrides)
    batch = make_batch()
    first, _ = agent.train_step(batch, ())
    for _ in range(60):
        last, _ = agent.train_step(batch, ())
    assert last["position_mse"] < 0.7 * first["position_mse"]
    assert last["reward_loss"] < first["reward_loss"]


def test_several_actions_at_once_are_refused():
    with pytest.raises(ValueError, match="DreamerV2 chooses one action"):
        make_agent(act_space={"move": BOX["action"], "fire": CATEGORY["action"]})


# ------------------------------------------------------------- runs


def test_one_trace_per_function_in_a_run():
    agent = make_agent(OBS_SPACE)
    for seed in range(3):
        agent.train_step(make_batch(OBS_SPACE, seed=seed), ())
    report = agent.report(make_batch(OBS_SPACE))
    agent.report(make_batch(OBS_SPACE, seed=1))
    assert report["openloop/image"].shape == (3, 6, 3 * 64, 64, 3)
    obs = {key: np.zeros((2, *space.shape), space.dtype) for key, space in OBS_SPACE.items()}
    for mode in ("train", "eval"):
        state = None
        for _ in range(3):
            _, state = agent.policy(obs, state, mode)
    functions = [agent._train, agent._explore, agent._exploit, agent._open_loop.predict]
    assert [f.experimental_get_tracing_count() for f in functions] == [1, 1, 1, 1]


def test_nonfinite_batches_change_no_weight_and_are_counted():
    agent = make_agent()
    agent.train_step(make_batch(), ())
    variables = [v for step in steps(agent) for v in [*step.targets, *step.optimizer.variables]]
    before = snapshot(variables)
    batch = make_batch()
    batch["position"] = tf.fill(batch["position"].shape, np.float32(np.nan))
    metrics, _ = agent.train_step(batch, ())
    assert metrics["nonfinite"] == 1
    assert unchanged(before, variables)
    metrics, _ = agent.train_step(make_batch(), ())
    assert metrics["nonfinite"] == 0


def test_checkpoint_holds_everything(tmp_path):
    options = {"reward_norm.momentum": 0.5, "slow_every": 2, "entropy_scale": "linear(0,1,9)"}
    batch = make_batch()
    agent, other = make_agent(**options), make_agent(**options)
    for _ in range(3):
        agent.train_step(batch, ())
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other.train_step(batch, ())
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    for _ in range(2):
        ours, _ = agent.train_step(batch, ())
        theirs, _ = other.train_step(batch, ())
        assert {k: float(v) for k, v in ours.items()} == {k: float(v) for k, v in theirs.items()}


def test_bfloat16_agrees_roughly_with_float32():
    full, mixed = make_agent(), make_agent(precision="mixed_bfloat16")
    assert {v.dtype for v in mixed.world_model.trainable_variables} == {"float32"}
    assert mixed.world_model.rssm.initial_state(1).deter.dtype == tf.float32
    ours, _ = full.train_step(make_batch(), ())
    theirs, _ = mixed.train_step(make_batch(), ())
    for name in ("model_loss", "critic_loss"):
        np.testing.assert_allclose(theirs[name], ours[name], rtol=0.1, atol=0.05)
    assert theirs["nonfinite"] == 0


def test_parameters_are_counted_by_network():
    counts = make_agent(OBS_SPACE, discount_model=True).parameter_counts()
    assert set(counts) == {"encoder", "rssm", "decoder", "reward", "cont", "actor", "critic"}
    assert all(count > 0 for count in counts.values())
