"""The reward for what is not known: what it looks at, and that it falls with experience."""

import keras
import numpy as np
import tensorflow as tf

from dreamer_tf.behaviors import Disagreement
from dreamer_tf.nn import Ensemble

FEAT, ACTION, TARGET = 3, 2, 4


def make(models=5, seed=0):
    tf.keras.utils.set_random_seed(seed)
    ensemble = Ensemble(models, 2, 16, TARGET)
    ensemble.build(FEAT + ACTION)
    return Disagreement(ensemble)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_the_reward_is_the_deviation_of_the_predictions_on_arriving():
    curiosity = make()
    feat, action = draw(4, 6, FEAT), draw(3, 6, ACTION, seed=1)
    reward = curiosity.reward(tf.constant(feat), tf.constant(action)).numpy()
    assert reward.shape == (4, 6)
    np.testing.assert_array_equal(reward[0], 0)
    for t in range(3):
        prediction = curiosity.ensemble(tf.constant(np.concatenate([feat[t], action[t]], -1)))
        expected = np.std(prediction, axis=0).mean(-1)
        np.testing.assert_allclose(reward[t + 1], expected, rtol=1e-4)


def test_states_and_actions_get_a_gradient_that_is_finite_where_all_agree():
    curiosity = make()
    for variable in curiosity.ensemble.variables:
        variable.assign(tf.repeat(variable[:1], 5, axis=0))
    feat, action = tf.constant(draw(3, 2, FEAT)), tf.constant(draw(2, 2, ACTION))
    with tf.GradientTape() as tape:
        tape.watch([feat, action])
        reward = curiosity.reward(feat, action)
    np.testing.assert_allclose(reward, 0, atol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(reward, [feat, action]))
    with tf.GradientTape() as tape:
        tape.watch(action)
        reward = make().reward(feat, action)
    assert (np.abs(tape.gradient(reward, action)).sum(-1) > 0).all()


def loss_by_hand(curiosity, feat, action, target, is_first):
    total, pairs = 0.0, 0
    for b in range(len(feat)):
        for t in range(feat.shape[1] - 1):
            if is_first[b, t + 1]:
                continue
            # The row of t + 1 holds the action that was taken in the state of t.
            x = np.concatenate([feat[b, t], action[b, t + 1]])[None]
            error = curiosity.ensemble(tf.constant(x))[:, 0] - target[b, t + 1]
            total += 0.5 * np.square(error).sum()
            pairs += 1
    return total / pairs


def test_the_ensemble_learns_where_actions_led_within_episodes():
    curiosity = make()
    feat, action, target = draw(3, 5, FEAT), draw(3, 5, ACTION, seed=1), draw(3, 5, TARGET, seed=2)
    is_first = np.zeros((3, 5), bool)
    is_first[0, 0] = is_first[1, 2] = is_first[2, 4] = True
    arguments = feat, action, target, is_first
    loss = curiosity.loss(*map(tf.constant, arguments))
    np.testing.assert_allclose(loss, loss_by_hand(curiosity, *arguments), rtol=1e-5)


def test_nothing_but_the_ensemble_learns_from_its_loss():
    curiosity = make()
    feat, action, target = (tf.constant(draw(2, 4, size)) for size in (FEAT, ACTION, TARGET))
    with tf.GradientTape() as tape:
        tape.watch([feat, action, target])
        loss = curiosity.loss(feat, action, target, tf.zeros([2, 4], tf.bool))
    variables = [variable.value for variable in curiosity.ensemble.trainable_variables]
    gradients = tape.gradient(loss, [feat, action, target, *variables])
    assert gradients[:3] == [None] * 3
    assert all(gradient is not None for gradient in gradients[3:])


def test_disagreement_falls_where_there_is_experience_and_stays_elsewhere():
    curiosity = make()
    adam = keras.optimizers.Adam(3e-3)
    variables = curiosity.ensemble.trainable_variables
    known, unknown = draw(16, 12, FEAT), 3.0 + draw(1, 64, FEAT, seed=3)
    action = draw(16, 12, ACTION, seed=1)
    # Noise of the environment does not keep them apart.
    target = np.tanh(known @ draw(FEAT, TARGET, seed=4)) + 0.3 * draw(16, 12, TARGET, seed=5)

    def at(feat):
        feat = tf.constant(np.concatenate([feat, feat[:1]]))
        return float(
            tf.reduce_mean(curiosity.reward(feat, tf.zeros([*feat[:-1].shape[:2], 2]))[1:])
        )

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            is_first = tf.zeros(known.shape[:2], tf.bool)
            loss = curiosity.loss(*map(tf.constant, (known, action, target)), is_first)
        adam.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    before = at(known[:1])
    for _ in range(300):
        step()
    assert at(known[:1]) < 0.7 * before
    assert at(unknown) > 2 * at(known[:1])


def test_a_pair_that_an_episodes_beginning_parts_does_not_count_whatever_it_is():
    curiosity = make()
    feat, action, target = draw(2, 4, FEAT), draw(2, 4, ACTION), draw(2, 4, TARGET)
    is_first = np.array([[False, False, True, False]] * 2)
    expected = curiosity.loss(*map(tf.constant, (feat, action, target, is_first)))
    action[:, 2] = np.nan
    got = curiosity.loss(*map(tf.constant, (feat, action, target, is_first)))
    np.testing.assert_array_equal(got, expected)
