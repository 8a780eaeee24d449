"""Discrete actions: classes outside the agent, one-hot vectors inside."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space

CLASSES = 5
OBS_SPACE = {"image": Space(np.uint8, (16, 16, 1))}
ACT_SPACE = {"action": Space(np.int32, (), 0, CLASSES - 1)}
ALWAYS_RANDOM = {"dreamer.exploration_epsilon": (1.0, 1.0)}
NEVER_RANDOM = {"dreamer.exploration_epsilon": (0.0, 0.0)}


def make_agent(**overrides):
    tf.keras.utils.set_random_seed(0)
    options = {"dreamer.discount_model": True, "dreamer.free_nats": 0.0} | overrides
    return agents.make(config.load(["debug"], options).config, OBS_SPACE, ACT_SPACE)


def make_batch(seed=0, batch_size=3, length=7, reward_scale=1.0):
    rng = np.random.default_rng(seed)
    leading = (batch_size, length)
    batch = {
        "image": rng.integers(0, 256, (*leading, 16, 16, 1), dtype=np.uint8),
        "reward": (reward_scale * rng.normal(size=leading)).astype(np.float32),
        "action": rng.integers(0, CLASSES, leading).astype(np.int32),
        "is_first": np.zeros(leading, bool),
        "is_last": np.zeros(leading, bool),
        "is_terminal": np.zeros(leading, bool),
    }
    return {key: tf.constant(value) for key, value in batch.items()}


def observations(count):
    rng = np.random.default_rng(0)
    return {"image": rng.integers(0, 256, (count, 16, 16, 1), dtype=np.uint8)}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_actions_are_classes(mode):
    agent = make_agent()
    action, state = agent.policy(observations(200), mode=mode)
    assert action["action"].shape == (200,) and action["action"].dtype == np.int32
    assert set(np.unique(action["action"])) <= set(range(CLASSES))
    single = {key: value[0] for key, value in observations(1).items()}
    action, _ = agent.policy(single, mode=mode)
    assert action["action"].shape == () and action["action"].dtype == np.int32
    ACT_SPACE["action"].check("action", action["action"])


def test_the_memory_holds_the_action_that_was_taken():
    agent = make_agent(**ALWAYS_RANDOM)
    action, state = agent.policy(observations(50))
    remembered = state.action
    np.testing.assert_allclose(remembered, np.eye(CLASSES)[action["action"]], atol=1e-6)


def test_exploration_is_only_in_train_mode():
    # The policy's logits are a bias alone: it always takes class 3.
    agents_of = {}
    for name, options in {"always": ALWAYS_RANDOM, "never": NEVER_RANDOM}.items():
        agent = agents_of[name] = make_agent(**options)
        agent.behavior.actor.out.kernel.assign(tf.zeros_like(agent.behavior.actor.out.kernel))
        agent.behavior.actor.out.bias.assign(30.0 * np.eye(CLASSES)[3])
    obs = observations(500)
    explored = agents_of["always"].policy(obs)[0]["action"]
    np.testing.assert_allclose(np.bincount(explored, minlength=CLASSES) / 500, 0.2, atol=0.07)
    assert set(agents_of["never"].policy(obs)[0]["action"]) == {3}
    assert set(agents_of["always"].policy(obs, mode="eval")[0]["action"]) == {3}


def test_epsilon_follows_the_updates_and_is_restored(tmp_path):
    options = {"dreamer.exploration_epsilon": (0.5, 0.1), "dreamer.exploration_decay": 4}
    agent, other = make_agent(**options), make_agent(**options)
    seen = [float(agent.train_step(make_batch(), ())[0]["exploration_epsilon"]) for _ in range(6)]
    np.testing.assert_allclose(seen, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1], rtol=1e-5)
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    tf.train.Checkpoint(agent=other).read(path).assert_consumed()
    restored, _ = other.train_step(make_batch(), ())
    assert float(restored["exploration_epsilon"]) == pytest.approx(0.1)


def test_every_variable_gets_a_gradient():
    agent = make_agent()
    for seed in range(3):
        metrics, _ = agent.train_step(make_batch(seed), ())
    assert metrics["nonfinite"] == 0
    assert 0 < float(metrics["actor_entropy"]) <= np.log(CLASSES) + 1e-6
    for step in (agent.model_step, agent.behavior.actor_step, agent.behavior.critic_step):
        moments = [v for v in step.optimizer.variables if "velocity" in v.path]
        assert len(moments) == len(step.targets)
        for variable, moment in zip(step.targets, moments, strict=True):
            assert np.abs(moment.numpy()).max() > 0, variable.path


def test_the_actor_learns_through_the_dynamics():
    agent, batch = make_agent(), make_batch()
    noise = agent.update_noise(*batch["reward"].shape)
    _, post, _ = agent.model_loss(agent.prepare(batch), noise["post"])
    start = agent.start_states(post)
    with tf.GradientTape() as tape:
        feat = agent.behavior.imagine(agent.world_model.rssm, start, noise)
        last_reward = tf.reduce_sum(agent.world_model.heads["reward"](feat[-1]))
    assert np.abs(tape.gradient(last_reward, agent.behavior.actor.out.kernel.value)).max() > 0


def test_rewards_pass_a_tanh_on_their_way_into_the_loss():
    batch = make_batch(reward_scale=10.0)
    squashed = batch | {"reward": tf.tanh(batch["reward"])}
    agent, plain = make_agent(**{"dreamer.clip_rewards": "tanh"}), make_agent()
    ours, _ = agent.train_step(batch, ())
    theirs, _ = plain.train_step(squashed, ())
    assert float(ours["reward_loss"]) == float(theirs["reward_loss"])
    unsquashed, _ = make_agent().train_step(batch, ())
    assert float(unsquashed["reward_loss"]) > 2 * float(ours["reward_loss"])


def test_what_the_action_was_changes_what_the_model_predicts():
    agent, batch = make_agent(), make_batch()
    other = batch | {"action": (batch["action"] + 1) % CLASSES}
    noise = agent.update_noise(*batch["reward"].shape)["post"]
    _, post, _ = agent.model_loss(agent.prepare(batch), noise)
    _, changed, _ = agent.model_loss(agent.prepare(other), noise)
    assert np.abs(post.deter - changed.deter).max() > 1e-4


def test_what_starts_behind_an_end_that_another_episode_follows_counts_nothing():
    agent, batch = make_agent(), make_batch(batch_size=1, length=5)
    ends, begins = np.zeros((2, 1, 5), bool)
    ends[0, 1] = True
    for follows, expected in ((False, [1, 1, 1, 1]), (True, [1, 0, 1, 1])):
        begins[0, 2] = follows
        rows = batch | {"is_terminal": tf.constant(ends), "is_first": tf.constant(begins)}
        weights = agent.discount.start_weights(rows)
        np.testing.assert_array_equal(weights, expected)
    rng = np.random.default_rng(0)
    feat = tf.constant(rng.normal(size=(4, 4, agent.world_model.rssm.feat_size)), tf.float32)
    heads, kept = agent.world_model.heads, tf.gather(feat, [0, 2, 3], axis=1)
    losses, _ = agent.behavior.losses(feat, heads["reward"], agent.discount, weights)
    others, _ = agent.behavior.losses(kept, heads["reward"], agent.discount)
    for name, loss in losses.items():
        np.testing.assert_allclose(loss, 3 / 4 * others[name], rtol=1e-5)


def test_an_update_leaves_out_what_starts_behind_an_end():
    # Nothing moves the actor where each start lies behind an end.
    agent, batch = make_agent(), make_batch(batch_size=1, length=2)
    marks = {"is_terminal": tf.constant([[True, False]]), "is_first": tf.constant([[True, True]])}
    metrics, _ = agent.train_step(batch | marks, ())
    assert metrics["actor_loss"] == metrics["critic_loss"] == metrics["actor_grad_norm"] == 0
    metrics, _ = agent.train_step(batch, ())
    assert metrics["actor_grad_norm"] > 0


def test_open_loop_prediction_takes_classes():
    report = make_agent().report(make_batch())
    assert report["openloop/image"].shape == (3, 7, 3 * 16, 16, 1)
    assert report["openloop_image_mse"] > 0


def test_one_trace_per_function_in_a_run():
    agent = make_agent()
    for seed in range(3):
        agent.train_step(make_batch(seed), ())
    for mode in ("train", "eval"):
        state = None
        for _ in range(3):
            _, state = agent.policy(observations(2), state, mode)
    functions = (agent._train, *agent._policies.values())
    assert [function.experimental_get_tracing_count() for function in functions] == [1] * 3
