"""What open-loop prediction is shown, and what it is measured on."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.world_model import OpenLoop
from dreamer_tf.world_model.open_loop import CONTEXT, SEQUENCES
from tests.agents.small_dreamerv2 import make_agent, make_batch

LENGTH = CONTEXT + 4


class Shown:
    """A decoder that shows three features as they are, and keeps them."""

    images = ()

    def targets(self, batch):
        return {"position": batch["position"]}

    def __call__(self, feat):
        self.model = feat[..., :3].numpy()
        return {"position": self.model}


@pytest.fixture(scope="module")
def predict():
    """Function of a batch to what the model shows ``[6, T, 3]`` and the error, with equal draws."""
    agent = make_agent(**{"rssm.latent": "gaussian"})
    decoder = Shown()
    open_loop = OpenLoop(agent.world_model, decoder, agent.rng)
    open_loop.predict = open_loop._predict

    def predict(batch):
        agent.rng.reset_from_seed(0)
        error = open_loop(batch)["openloop_position_mse"]
        return decoder.model, error

    return predict


@pytest.fixture(scope="module")
def batch():
    return make_batch(batch_size=SEQUENCES + 1, length=LENGTH)


def changed(batch, key, rows):
    value = batch[key].numpy()
    value[:, rows] = -value[:, rows] - 0.5
    return batch | {key: tf.constant(value)}


@pytest.mark.parametrize("row", [2, CONTEXT - 1, CONTEXT, LENGTH - 1])
def test_an_action_changes_what_follows_it_and_nothing_before(predict, batch, row):
    differ = predict(batch)[0] != predict(changed(batch, "action", row))[0]
    assert not differ[:, :row].any() and differ[:, row:].all((0, 2)).all()


def test_observations_count_within_the_context_alone(predict, batch):
    before, _ = predict(batch)
    unseen, _ = predict(changed(batch, "position", slice(CONTEXT, None)))
    np.testing.assert_array_equal(unseen, before)
    differ = before != predict(changed(batch, "position", CONTEXT - 1))[0]
    assert not differ[:, : CONTEXT - 1].any() and differ[:, CONTEXT - 1 :].all((0, 2)).all()


def test_the_error_is_that_of_the_rows_behind_the_context(predict, batch):
    model, error = predict(batch)
    assert model.shape == (SEQUENCES, LENGTH, 3)
    squared = (batch["position"].numpy()[:SEQUENCES] - model) ** 2
    np.testing.assert_allclose(error, squared[:, CONTEXT:].mean(), rtol=1e-6)
    assert abs(error - squared.mean()) > 1e-3
