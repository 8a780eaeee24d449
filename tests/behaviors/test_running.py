"""The slow copy and the reward scale against the recordings."""

import ast

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.behaviors import RewardScale, SlowCopy
from dreamer_tf.nn import MLP
from tests.golden_data import Golden, assert_close, parse_pairs


def linear(kernel):
    network = MLP(0, 1, kernel.shape[1])
    network.build(kernel.shape[0])
    network.out.kernel.assign(kernel)
    return network


def test_recorded_updates():
    golden = Golden("v2_behavior")
    recorded = golden.group("slow")
    slow, fast = linear(recorded["initial"]), linear(recorded["0/critic"])
    setting = parse_pairs(golden.setting("slow/0/slow"))
    every, fraction = setting["slow_target_update"], setting["slow_target_fraction"]
    copy = SlowCopy(slow, fast, every=every, fraction=fraction)
    slow.out.kernel.assign(recorded["initial"])
    count = sum(key.endswith("critic") for key in recorded)
    assert count >= 5
    for index in range(count):
        fast.out.kernel.assign(recorded[f"{index}/critic"])
        copy.update()
        assert_close(slow.out.kernel.numpy(), recorded[f"{index}/slow"], name=str(index))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_hard_copy_changes_nothing_in_between(compiled):
    slow, fast = linear(np.zeros([2, 3], np.float32)), linear(np.ones([2, 3], np.float32))
    copy = SlowCopy(slow, fast, every=3, fraction=1.0)
    update = tf.function(copy.update, autograph=False) if compiled else copy.update
    values = []
    for _ in range(7):
        fast.out.kernel.assign_add(np.ones([2, 3], np.float32))
        update()
        values.append(slow.out.kernel.numpy()[0, 0])
    assert values == [2, 2, 2, 5, 5, 5, 8]


def test_a_copy_begins_equal():
    slow, fast = linear(np.zeros([2, 3], np.float32)), linear(np.ones([2, 3], np.float32))
    SlowCopy(slow, fast, every=100, fraction=0.02)
    np.testing.assert_array_equal(slow.out.kernel, fast.out.kernel)


def test_a_checkpoint_holds_the_copy(tmp_path):
    def make(value):
        networks = [MLP(2, 3, 1, name=name) for name in ("slow", "fast")]
        for network in networks:
            network.build(2)
        copy = SlowCopy(*networks, every=2, fraction=0.5)
        for variable in copy.network.variables:
            variable.assign(tf.fill(variable.shape, value))
        copy.update()
        return copy

    saved, restored = make(1.0), make(2.0)
    path = tf.train.Checkpoint(copy=saved).write(str(tmp_path / "copy"))
    restored.update()
    tf.train.Checkpoint(copy=restored).read(path).assert_consumed()
    assert restored.updates == saved.updates
    pairs = zip(saved.network.variables, restored.network.variables, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_recorded_reward_scale():
    golden = Golden("v2_behavior")
    names = {key.split("/")[0] for key in golden.group("streamnorm")} - {"in"}
    assert len(names) >= 3
    for name in names:
        s = ast.literal_eval(golden.setting(f"streamnorm/{name}/0/out"))
        reward_scale = RewardScale(momentum=s["momentum"], scale=s["scale"], epsilon=s["eps"])
        recorded = golden.group(f"streamnorm/{name}")
        for index in range(len(recorded) // 3):
            reward = tf.constant(recorded[f"{index}/in"])
            assert_close(reward_scale(reward), recorded[f"{index}/out"], name=f"{name} {index}")
            reward_scale.update(reward, skipped=1.0)
            reward_scale.update(reward, skipped=0.0)
            assert_close(reward_scale.magnitude, recorded[f"{index}/mag"])


def test_the_magnitude_has_no_gradient():
    reward = tf.constant([1.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(reward)
        total = tf.reduce_sum(RewardScale(momentum=0.0, scale=1.0, epsilon=0.0)(reward))
    np.testing.assert_allclose(tape.gradient(total, reward), [0.5, 0.5])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rewards_that_are_not_finite_leave_the_magnitude(bad):
    scale = RewardScale(momentum=0.9, scale=1.0, epsilon=0.0)
    scale.update(tf.constant([2.0, bad]), skipped=0.0)
    assert float(scale.magnitude) == 1.0
    scale.update(tf.constant([2.0, 4.0]), skipped=0.0)
    assert float(scale.magnitude) == pytest.approx(0.9 + 0.1 * 3)
