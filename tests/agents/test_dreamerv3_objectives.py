"""DreamerV3's objectives: what each trains, what a diagnostic must not, and what follows slowly."""

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf import agents, config
from dreamer_tf.specs import Space
from tests.agents.test_harmony import make_batch

OBS_SPACE = {"image": Space(np.uint8, (16, 16, 3)), "position": Space(np.float32, (3,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}
OBJECTIVES = ("reconstruction", "r2", "infonce", "dreamerpro")
DECODER_FREE = OBJECTIVES[1:]
TERMS = {
    "reconstruction": {"image", "position"},
    "r2": {"r2"},
    "infonce": {"infonce"},
    "dreamerpro": {"swav", "temp", "norm"},
}
NETWORKS = {
    "reconstruction": {"decoder"},
    "r2": {"projector"},
    "infonce": {"projector"},
    "dreamerpro": {"prototypes", "obs_projection", "feat_projection"},
}
FAST = {"dreamerv3.optimizer.warmup": 0, "dreamerv3.optimizer.learning_rate": 1e-2}


def make_agent(objective, obs_space=OBS_SPACE, **overrides):
    tf.keras.utils.set_random_seed(0)
    options = {"agent": "dreamerv3", "dreamerv3.objective": objective} | overrides
    return agents.make(config.load(["debug"], options).config, obs_space, ACT_SPACE)


def losses_of(agent, batch, noise=None):
    """Losses of the world model, from the state before any step."""
    noise = noise or agent.update_noise(*batch["reward"].shape)
    rows = agent.prepare(batch)
    start = agent._from_carry(agent.initial_carry(len(batch["reward"])))
    views = agent.world_model.objective.views(rows, noise, start)
    return agent.model_losses(rows, noise["post"], start, views)


def update(agent, batch):
    """The metrics of an update, which is not compiled: that would take longer than the update."""
    return agent.update(batch, agent.update_noise(*batch["reward"].shape))[0]


def values(variables):
    return [variable.numpy() for variable in variables]


def same(before, variables):
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, variables, strict=True))


@pytest.fixture(scope="module", params=OBJECTIVES)
def objective(request):
    return request.param


# ------------------------------------------------------------------ gradients

PARTS = ("encoder", "posterior", "sequence", "prior")
EVERYTHING = set(PARTS) - {"prior"}
# Loss -> the parts that it trains, and of the objective's own networks those that it does.
ROUTES = {
    ("reconstruction", "image"): (EVERYTHING, {"decoder"}),
    ("reconstruction", "dyn"): (set(PARTS), set()),
    ("reconstruction", "rep"): (EVERYTHING, set()),
    ("reconstruction", "cont"): (EVERYTHING, set()),
    ("r2", "r2"): (EVERYTHING, {"projector"}),
    ("infonce", "infonce"): (EVERYTHING, {"projector"}),
    ("dreamerpro", "swav"): ({"encoder"}, {"obs_projection", "prototypes"}),
    ("dreamerpro", "temp"): (EVERYTHING, {"feat_projection", "prototypes"}),
    ("dreamerpro", "norm"): (EVERYTHING, {"obs_projection", "feat_projection"}),
}


def routes(agent, tape, loss, parts):
    gradients = {name: tape.gradient(loss, [v.value for v in vs]) for name, vs in parts.items()}
    return {
        name
        for name, tensors in gradients.items()
        if any(g is not None and np.any(g) for g in tensors)
    }


def test_each_loss_trains_what_it_should(objective):
    # From the first update on prototypes learn; below the free nats nothing would train the prior.
    options = {"dreamerv3.free_nats": 0.0, "dreamerv3.dreamerpro.frozen": 0}
    agent = make_agent(objective, **options)
    rssm = agent.world_model.rssm
    parts = {
        "encoder": agent.world_model.encoder.trainable_variables,
        "posterior": rssm.post_net.trainable_variables,
        "sequence": rssm.cell.trainable_variables,
        "prior": rssm.prior_net.trainable_variables,
    }
    own = agent.world_model.objective.networks
    parts |= {name: network.trainable_variables for name, network in own.items()}
    slow = agent.world_model.objective.slow_networks
    parts |= {name: network.trainable_variables for name, network in slow.items()}
    with tf.GradientTape(persistent=True) as tape:
        losses, _, _ = losses_of(agent, make_batch())
        # Those of DreamerPro are no [B, T].
        losses = {name: tf.reduce_mean(loss) for name, loss in losses.items()}
    assert losses.keys() == TERMS[objective] | {"reward", "cont", "dyn", "rep"}
    for (name, loss), (trained, networks) in ROUTES.items():
        if name == objective:
            assert routes(agent, tape, losses[loss], parts) == trained | networks, loss


def test_the_embedding_is_a_target_without_gradient():
    """In r2 and infonce the encoder learns through the posterior alone."""
    for objective in ("r2", "infonce"):
        agent = make_agent(objective)
        size = agent.world_model.rssm.feat_size
        feat = tf.random.stateless_normal([2, 6, size], seed=(0, 1))
        embed = tf.random.stateless_normal([2, 6, agent.world_model.encoder.output_size], (0, 2))
        with tf.GradientTape() as tape:
            tape.watch([feat, embed])
            losses, _ = agent.world_model.objective.terms({}, feat, embed)
            loss = tf.reduce_mean(losses[objective])
        towards_feat, towards_embed = tape.gradient(loss, [feat, embed])
        assert np.any(towards_feat) and towards_embed is None


# -------------------------------------------------------------------- updates


@pytest.fixture(scope="module")
def trained(objective):
    """The name, an agent before and after three updates, its metrics, and what it was before."""
    agent = make_agent(objective, **FAST)
    before = {name: values(network.variables) for name, network in agent.networks.items()}
    metrics = [update(agent, make_batch(seed=seed)) for seed in range(3)]
    return objective, agent, before, metrics


def test_every_network_learns_and_is_counted(trained):
    objective, agent, before, metrics = trained
    own = NETWORKS[objective] | {"decoder"}
    slow = {"slow_encoder", "slow_projection"} if objective == "dreamerpro" else set()
    others = {"encoder", "rssm", "reward", "cont", "actor", "critic", "slow_critic"}
    assert agent.parameter_counts().keys() == own | slow | others
    for name, network in agent.networks.items():
        assert not same(before[name], network.variables), name
    steps = [agent.step, *([agent.diagnostic.step] if agent.diagnostic else [])]
    moved = [id(v) for step in steps for v in step.targets]
    counted = [
        id(v)
        for name, network in agent.networks.items()
        if not name.startswith("slow_")
        for v in network.trainable_variables
    ]
    assert len(set(moved)) == len(moved) and set(moved) == set(counted)
    assert all(step["nonfinite"] == 0 for step in metrics)


def test_the_loss_is_the_weighted_sum(trained):
    objective, agent, _, metrics = trained
    names = TERMS[objective] | {"reward", "cont", "dyn", "rep", "policy", "value", "replay_value"}
    assert agent.loss_scales.keys() == names
    total = sum(agent.loss_scales[name] * metrics[-1][f"{name}_loss"] for name in names)
    np.testing.assert_allclose(metrics[-1]["model_loss"], total, rtol=1e-5)
    assert agent.world_model.objective.scales == {
        name: {"r2": 0.05}.get(name, 1.0) for name in TERMS[objective]
    }


def test_a_decoder_shows_predictions_whatever_is_learned(trained):
    _, agent, _, _ = trained
    report = agent.report(make_batch())
    assert report["openloop/image"].shape == (2, 6, 3 * 16, 16, 3)
    assert np.isfinite(report["openloop_image_mse"])
    assert set(agent.latent_model.predictions) == {"reward", "cont", "image", "position"}


def test_checkpoints_hold_everything(trained, tmp_path):
    objective, agent, _, _ = trained
    path = tf.train.Checkpoint(agent=agent).write(str(tmp_path / "agent"))
    other = make_agent(objective, **FAST)
    tf.train.Checkpoint(agent=other).read(path).assert_existing_objects_matched()
    for name, network in agent.networks.items():
        assert same(values(network.variables), other.networks[name].variables), name
    if objective == "dreamerpro":
        slow = other.world_model.objective.slow_encoder
        assert slow.updates == agent.world_model.objective.slow_encoder.updates == 4
    if agent.diagnostic:
        slots = [a.diagnostic.step.optimizer.variables for a in (agent, other)]
        assert same(values(slots[0]), slots[1])


def test_a_skipped_update_leaves_everything(trained):
    objective, agent, _, _ = trained
    nothing = {"slow_critic"}  # It follows the critic, whatever happens.
    networks = {k: n for k, n in agent.networks.items() if k not in nothing}
    slow = agent.world_model.objective.slow_networks
    before = {name: values(network.variables) for name, network in networks.items()}
    batch = make_batch()
    batch["position"] = tf.fill(batch["position"].shape, np.float32(np.nan))
    metrics = update(agent, batch)
    assert metrics["nonfinite"] == 1
    for name, network in networks.items():
        assert same(before[name], network.variables), name
    if slow:
        assert agent.world_model.objective.slow_encoder.updates == 4


@pytest.mark.parametrize("objective_name", ["r2", "dreamerpro"])
def test_the_diagnostic_decoder_changes_nothing_but_itself(objective_name):
    shown = make_agent(objective_name, **FAST)
    hidden = make_agent(objective_name, **FAST, **{"dreamerv3.diagnostic_decoder": False})
    for seed in range(2):
        batch = make_batch(seed=seed)
        noise = shown.update_noise(2, 6)
        ours, _ = shown.update(batch, noise)
        theirs, _ = hidden.update(batch, noise)
        assert ours.keys() - theirs.keys() == {
            *("image_loss", "image_mse", "position_loss", "position_mse"),
            *("decoder_loss", "decoder_grad_norm"),
        }
        for key, value in theirs.items():
            np.testing.assert_array_equal(ours[key], value, err_msg=key)
    for name, network in hidden.networks.items():
        assert same(values(network.variables), shown.networks[name].variables), name
    assert hidden.report(make_batch()) == {}
    assert "decoder" not in hidden.parameter_counts()
    assert set(hidden.latent_model.predictions) == {"reward", "cont"}


def test_observations_may_not_take_the_name_of_a_loss():
    obs_space = {"r2": Space(np.float32, (3,))}
    with pytest.raises(ValueError, match="r2_loss"):
        update(make_agent("r2", obs_space), make_batch(obs_space))
    agent = make_agent("r2", **{"dreamerv3.diagnostic_decoder": False})
    del agent.loss_scales["r2"]
    with pytest.raises(ValueError, match="losses .*'r2'.* do not match scales"):
        update(agent, make_batch())


@pytest.mark.parametrize("objective_name", ["r2", "dreamerpro"])
def test_bfloat16_agrees_roughly_with_float32(objective_name):
    batch, found = make_batch(), []
    for precision in ("float32", "mixed_bfloat16"):
        agent = make_agent(objective_name, precision=precision)
        zeros = tf.nest.map_structure(tf.zeros_like, agent.update_noise(2, 6))
        found.append(losses_of(agent, batch, zeros)[0])
        assert {v.dtype for v in agent.step.targets} == {"float32"}
    for name in TERMS[objective_name]:
        full, mixed = (losses[name] for losses in found)
        assert mixed.dtype == tf.float32
        np.testing.assert_allclose(np.mean(mixed), np.mean(full), rtol=0.1, atol=0.05)


@pytest.mark.parametrize("objective_name", ["r2", "dreamerpro"])
def test_exports_hold_the_weights_of_every_network(objective_name, tmp_path):
    agent = make_agent(objective_name)
    folder, _ = agent.export(tmp_path / "policy", litert=False)
    files = {path.name.partition(".")[0] for path in (folder / "weights").iterdir()}
    assert files == agent.networks.keys()


# ----------------------------------------------------------------- DreamerPro


def test_dreamerpro_needs_an_image():
    with pytest.raises(ValueError, match="dreamerpro.*images.*position"):
        make_agent("dreamerpro", {"position": Space(np.float32, (3,))})
    with pytest.raises(ValueError, match="dreamerpro.*images.*position"):
        make_agent("dreamerpro", **{"dreamerv3.encoder.keys": "position"})


def test_sequences_must_be_longer_than_the_warm_up():
    agent = make_agent("dreamerpro", **{"dreamerv3.dreamerpro.warm_up": 6})
    with pytest.raises(ValueError, match="warm-up of 6"):
        losses_of(agent, make_batch())


def test_prototypes_first_move_in_the_update_that_the_option_says():
    agent = make_agent("dreamerpro", **FAST, **{"dreamerv3.dreamerpro.frozen": 3})
    vectors = agent.world_model.objective.prototypes.vectors
    moved = []
    for seed in range(4):
        before = vectors.numpy()
        update(agent, make_batch(seed=seed))
        # Normalising what has length 1 may round.
        moved.append(np.abs(before - vectors.numpy()).max() > 1e-5)
        np.testing.assert_allclose(np.linalg.norm(vectors.numpy(), axis=-1), 1.0, rtol=1e-5)
    assert moved == [False, False, True, True]


def test_the_slow_networks_are_averages_of_the_others():
    options = {"dreamerv3.dreamerpro.slow_every": 2, "dreamerv3.dreamerpro.slow_rate": 0.25}
    agent = make_agent("dreamerpro", **FAST, **options)
    objective = agent.world_model.objective
    pairs = [
        (agent.world_model.encoder, objective.slow_encoder.network),
        (objective.obs_projection, objective.slow_projection.network),
    ]
    for fast, slow in pairs:
        assert same(values(fast.variables), slow.variables), "the first move is a copy"
    for count in range(1, 4):
        before = [values(slow.variables) for _, slow in pairs]
        update(agent, make_batch(seed=count))
        for (fast, slow), old in zip(pairs, before, strict=True):
            share = 0.25 if count % 2 == 0 else 0.0
            for a, b, c in zip(fast.variables, slow.variables, old, strict=True):
                expected = share * a.numpy() + (1.0 - share) * c
                np.testing.assert_allclose(b.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_the_views_are_shifted_images_with_draws_of_their_own():
    agent = make_agent("dreamerpro")
    batch, noise = agent.prepare(make_batch()), agent.update_noise(2, 6)
    assert noise["shift"].shape == (4, 2) and noise["view"].shape[:2] == (6, 4)
    many = agent.update_noise(500, 6)["shift"].numpy()
    assert set(many.ravel()) == {0, 1, 2}, "whole pixels up to max_shift, either way"
    start = agent._from_carry(agent.initial_carry(2))
    views, post_noise, state = agent.world_model.objective.views(batch, noise, start)
    assert post_noise is noise["view"] and state.deter.shape[0] == 4
    np.testing.assert_array_equal(views["position"], np.tile(batch["position"], (2, 1, 1)))
    for row in range(4):
        dx, dy = noise["shift"].numpy()[row]
        padded = np.pad(batch["image"][row % 2], [(0, 0), (1, 1), (1, 1), (0, 0)], "edge")
        expected = padded[:, dy : dy + 16, dx : dx + 16]
        np.testing.assert_array_equal(views["image"][row], expected)


def test_shifts_change_the_objective_and_nothing_else():
    agent = make_agent("dreamerpro")
    batch, noise = make_batch(), agent.update_noise(2, 6)
    still = noise | {"shift": tf.fill([4, 2], 1), "view": tf.zeros_like(noise["view"])}
    moved = still | {"shift": tf.fill([4, 2], 2)}
    losses = [losses_of(agent, batch, draws)[0] for draws in (still, moved)]
    for name in losses[0]:
        equal = np.array_equal(losses[0][name], losses[1][name])
        assert equal != (name in TERMS["dreamerpro"]), name


# --------------------------------------------------------------------- numbers


def test_parameters_at_the_size_that_is_published():
    """Counted in R2-Dreamer's code: 64×64 pixels, six actions, 12 million."""
    obs_space = {"image": Space(np.uint8, (64, 64, 3))}
    act_space = {"action": Space(np.float32, (6,), -1, 1)}
    options = {"agent": "dreamerv3", "dreamerv3.diagnostic_decoder": False}
    counts = {}
    for objective in ("reconstruction", "r2", "dreamerpro"):
        options["dreamerv3.objective"] = objective
        loaded = config.load(["size12m"], options).config
        counts[objective] = agents.make(loaded, obs_space, act_space).parameter_counts()
    assert counts["reconstruction"]["encoder"] == 220_416
    assert counts["reconstruction"]["decoder"] == 1_272_003
    assert counts["r2"]["projector"] == 2_621_440
    # Their counts are without the slow critic.
    totals = {name: sum(c.values()) - c["slow_critic"] for name, c in counts.items()}
    assert totals == {
        "reconstruction": 10_494_158,
        "r2": 11_843_595,
        "dreamerpro": 9_670_123,
    }
