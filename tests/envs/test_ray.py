"""Environments as Ray actors, on a cluster of two nodes on this machine."""

import logging
import sys
import time

import numpy as np
import pytest

from dreamer_tf.envs import EnvError, RayNodes, VectorEnv
from tests.counting import CountingEnv

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster  # noqa: E402


class TellingEnv(CountingEnv):
    """Says whether TensorFlow is in its process, and on which node that runs."""

    def step(self, action):
        row = super().step(action)
        if row["is_last"]:
            row["log_tensorflow"] = np.float32("tensorflow" in sys.modules)
        return row


@pytest.fixture(scope="module")
def cluster():
    """A node without cores, which no environment may take down, and one with two."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8},
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def add_node(cluster):
    node = cluster.add_node(num_cpus=2, object_store_memory=10**8)
    cluster.wait_for_nodes()
    return node


def play(env, steps):
    """Rows of ``steps`` steps with the same actions whatever happens."""
    rows, reset = [], np.ones(len(env), bool)
    for step in range(steps):
        actions = {"action": np.full((len(env), 2), step / steps, np.float32)}
        row = env.step(actions, reset)
        rows.append(row)
        reset = row["is_last"]
    return rows


def test_actors_play_the_same_and_a_lost_node_costs_the_running_episodes(cluster, caplog):
    first = add_node(cluster)
    with VectorEnv([TellingEnv] * 2, seed=3) as env:
        expected = play(env, 8)
    with VectorEnv([TellingEnv] * 2, seed=3, workers=RayNodes(cluster.address)) as env:
        rows = play(env, 8)
        for row, other in zip(rows, expected, strict=True):
            assert row.keys() == other.keys()
            for key in row:
                np.testing.assert_array_equal(row[key], other[key], err_msg=key)
        assert any("log_tensorflow" in row for row in rows)
        assert not any(row.get("log_tensorflow", [0])[0] > 0 for row in rows)

        # The node goes away in the middle of the second episode, and another one comes.
        cluster.remove_node(first)
        add_node(cluster)
        caplog.set_level(logging.WARNING)
        cut = env.step({"action": np.zeros((2, 2), np.float32)}, [False, False])
        assert env.died.all() and cut["is_last"].all() and not cut["is_terminal"].any()
        np.testing.assert_array_equal(cut["count"], rows[-1]["count"])
        assert "its Ray actor is gone" in caplog.text
        again = env.step({"action": np.zeros((2, 2), np.float32)}, [True, True])
        with VectorEnv([CountingEnv] * 2, seed=3, workers="inline") as other:
            other.restore(env.episodes - 1)
            same = other.step({"action": np.zeros((2, 2), np.float32)}, [True, True])
        np.testing.assert_array_equal(again["seed"], same["seed"])


def test_building_may_take_longer_than_finding_room(cluster, monkeypatch):
    from dreamer_tf.envs import ray_host

    class Slow(CountingEnv):
        def __init__(self):
            time.sleep(4)
            super().__init__(3)

    host = RayNodes(cluster.address, cpus=0)(Slow)
    ray.get(host._alive)
    monkeypatch.setattr(ray_host, "_PATIENCE", 0.5)
    obs_space, *_ = host.wait_until_ready()
    assert "count" in obs_space
    host.close()


def test_what_no_node_has_room_for_is_said(cluster, monkeypatch):
    from dreamer_tf.envs import ray_host

    monkeypatch.setattr(ray_host, "_PATIENCE", 0.5)
    with pytest.raises(EnvError, match=r"no Ray node had room .* wants 99 cores"):
        VectorEnv([CountingEnv], seed=0, workers=RayNodes(cluster.address, cpus=99))


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EnvError, match=r"-m pip install .*\[ray\]"):
        VectorEnv([CountingEnv], seed=0, workers=RayNodes())
