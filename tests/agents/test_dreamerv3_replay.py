"""What DreamerV3 remembers, on its way through acting, the replay and an update."""

import numpy as np
import tensorflow as tf

from dreamer_tf.envs import VectorEnv
from dreamer_tf.replay import Batch, Replay, UniformStarts
from dreamer_tf.replay.samplers import Piece, Sequence
from dreamer_tf.specs import Space, row_spaces
from dreamer_tf.training.driver import Driver
from tests.acting import act
from tests.agents.test_dreamerv3 import make_agent
from tests.counting import CountingEnv

ACT_SPACE = {"steer": Space(np.float32, (2,), -1, 1), "gear": Space(np.int32, (), 0, 2)}


def carry_before_each_row(replay, batch):
    """What the replay holds for every row of a batch, dict of ``[B, T, ...]``."""
    rows = [
        Sequence((Piece(piece.episode, piece.start + offset, 1),))
        for sequence in batch.sequences
        for piece in sequence.pieces
        for offset in range(piece.rows)
    ]
    shape = batch.rows["reward"].shape
    carry = replay.carry(Batch({}, rows))
    return {key: value.reshape(*shape, *value.shape[1:]) for key, value in carry.items()}


def test_a_replayed_carry_equals_recomputed_latents_when_parameters_do_not_change(tmp_path):
    constructors = [lambda n=n: CountingEnv(n, act_space=ACT_SPACE) for n in (4, 9)]
    envs = VectorEnv(constructors, seed=0, workers="inline")
    agent = make_agent(envs.obs_space, envs.act_space)
    spaces = row_spaces(envs.obs_space, envs.act_space)
    replay = Replay(
        tmp_path,
        spaces,
        capacity=0,
        seed=0,
        sampler=UniformStarts(),
        ongoing=True,
        carry=agent.carry_space,
    )
    # A draw of the posterior for each row, to be found again by its place.
    draws = agent.world_model.rssm.latent.draws(agent.rng, [50, 10]).numpy()

    def draws_at(rows):
        place = (rows[key][..., 0].astype(int) for key in ("episode", "count"))
        return draws[tuple(place)]

    def policy(arrived, state):
        state = agent.initial_state(2) if state is None else state
        obs = {key: tf.constant(arrived[key]) for key in agent.obs_space}
        noise = {
            "post": tf.constant(draws_at(arrived)),
            "action": agent.behavior.actor.draws(agent.rng, [2]),
        }
        action, state = act(agent, obs, state, tf.constant(arrived["is_first"]), noise)
        actions = {key: value.numpy() for key, value in agent.actions.decode(action).items()}
        actions["steer"] = np.clip(actions["steer"], -1, 1)
        return actions | {key: value.numpy() for key, value in state.carry.items()}, state

    driver = Driver(envs, [replay.add], carry=replay.carry_space)
    for _ in range(47):
        driver.step(policy)

    batch = replay.sample(20, 6)
    start = {key: tf.constant(value) for key, value in replay.carry(batch).items()}
    rows = {key: tf.constant(value) for key, value in batch.rows.items()}
    noise = tf.constant(draws_at(batch.rows).swapaxes(0, 1))
    _, post, _ = agent.model_losses(agent.prepare(rows), noise, agent._from_carry(start))
    memory = {key: value.numpy() for key, value in agent._to_carry(post).items()}

    stored = carry_before_each_row(replay, batch)
    follows = ~batch.rows["is_first"][:, 1:]
    assert {sequence.pieces[0].episode > 0 for sequence in batch.sequences} == {True, False}
    assert stored["deter"][:, 0].any(axis=-1).mean() > 0.5 and not follows.all()
    np.testing.assert_array_equal(memory["stoch"][:, :-1][follows], stored["stoch"][:, 1:][follows])
    np.testing.assert_allclose(
        memory["deter"][:, :-1][follows], stored["deter"][:, 1:][follows], rtol=1e-4, atol=1e-5
    )

    replay.update(batch, memory)
    refreshed = carry_before_each_row(replay, batch)
    np.testing.assert_array_equal(refreshed["stoch"], stored["stoch"])
    np.testing.assert_allclose(refreshed["deter"], stored["deter"], rtol=1e-4, atol=1e-5)
