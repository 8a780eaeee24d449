"""Dreams: aligned with what was recorded, decided by the moment, the seed and the actions."""

import base64

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.apps.dream.compiled import CHUNK, CompiledModel
from dreamer_tf.apps.dream.dream import IMAGINE, Dream
from dreamer_tf.apps.dream.episodes import returns_to_go
from dreamer_tf.apps.dream.errors import RequestError
from dreamer_tf.apps.dream.replayed import WARM_UP, Replayed
from dreamer_tf.apps.dream.studio import Studio
from dreamer_tf.behaviors import SeededDraws
from dreamer_tf.world_model import get_feat
from tests.apps.dream.small_runs import SPACES, episode, small_run

ROWS, MOMENT, SEED = 50, 20, 3  # The moment lies in the second chunk of filtering.


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Dict of agent's name to its run folder, its live agent, and the studio of its run."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}
    for name in SPACES:
        agent = small_run(folder / name, name, lengths=(9, ROWS), dreamerv2__discount_model=True)
        made[name] = (agent, Studio(folder / name))
    return made


@pytest.fixture(params=SPACES)
def name(request):
    return request.param


@pytest.fixture
def agent(runs, name):
    return runs[name][0]


@pytest.fixture
def studio(runs, name):
    return runs[name][1]


def begin(studio, row=MOMENT, seed=SEED, serial=2):
    return studio.begin({"episode": serial, "row": row, "seed": seed})


def walk(studio, dream, choices, at=0):
    """Takes steps as chosen; returns them."""
    return [studio.step(dream, {"at": at + i, "by": by}) for i, by in enumerate(choices)]


def recorded(name, serial=2, rows=ROWS):
    return episode(*SPACES[name][:2], rows, serial)


def native(name, rows, row):
    """The action of a row in the environment's range, as lists."""
    found = {}
    for key, space in SPACES[name][2].items():
        action = rows[key][row]
        if space.is_discrete:
            found[key] = np.reshape(action + space.low, -1).tolist()
        else:
            found[key] = (space.low + (action + 1) / 2 * (space.high - space.low)).tolist()
    return found


def truly_filtered(agent, rows, moment):
    """The posterior `State` at a row, by single steps with the draws that are due."""
    rssm, encoder = agent.world_model.rssm, agent.world_model.encoder
    state, draws = rssm.initial_state(1), {}
    for row in range(moment + 1):
        chunk, place = divmod(row, CHUNK)
        if chunk not in draws:
            draws[chunk] = rssm.latent.draws(SeededDraws((SEED, chunk)), [CHUNK, 1])
        one = {key: values[row : row + 1] for key, values in rows.items()}
        one = agent.prepare(one)
        embed = encoder(encoder.inputs(one))
        first = tf.constant(one["is_first"])
        state = rssm.obs_step(state, one["action"], embed, first, draws[chunk][place])
    return state


def assert_described(agent, state, told):
    """That a step tells of a `State`: what heads, critic and decoder say."""
    feat, heads = get_feat(state), agent.world_model.heads
    expected = {"reward": heads["reward"].mean(feat)}
    if "cont" in heads:
        expected["cont"] = tf.sigmoid(heads["cont"](feat)) / agent.latent_model._cont_scale
    if agent.latent_model.valuation:
        expected["value"] = agent.latent_model.valuation.critic.mean(feat)
    observations = told.pop("observations")
    assert told.keys() == expected.keys()
    for key, value in expected.items():
        assert told[key] == pytest.approx(min(float(value[0]), 1e9), rel=2e-3, abs=1e-4), key
    decoder = agent.networks["decoder"]
    for key, value in decoder.restore(decoder(feat)).items():
        if value.dtype == tf.uint8:
            got = np.frombuffer(base64.b64decode(observations[key]), np.uint8)
            apart = np.abs(got.astype(int) - value.numpy().reshape(-1).astype(int))
            assert apart.max() <= 1
        else:
            np.testing.assert_allclose(observations[key], value[0], rtol=2e-3, atol=1e-4)


def test_along_recorded_actions_a_dream_is_the_models_own_prediction(name, agent, studio):
    rows = recorded(name)
    state = truly_filtered(agent, rows, MOMENT)
    begun = begin(studio)
    assert_described(agent, state, begun["step"]["imagined"])
    rssm = agent.world_model.rssm
    for number, told in enumerate(walk(studio, begun["id"], ["recorded"] * 4)):
        led = MOMENT + number + 1
        action = agent.actions.encode({k: rows[k][led : led + 1] for k in agent.act_space})
        noise = rssm.latent.draws(SeededDraws((SEED, IMAGINE + number)), [1])
        state = rssm.img_step(state, action, noise)
        assert_described(agent, state, told["imagined"])


def test_truth_stands_beside_the_step_it_belongs_to(name, studio):
    rows = recorded(name)
    begun = begin(studio)
    steps = [begun["step"], *walk(studio, begun["id"], ["recorded"] * 3)]
    for number, told in enumerate(steps):
        row, truth = MOMENT + number, told["true"]
        assert (told["step"], truth["row"], truth["reward"]) == (number, row, float(row))
        expected = native(name, rows, row) if number else None
        compare(told["action"], expected)
        compare(told["next_recorded"], native(name, rows, row + 1))
        for key, space in SPACES[name][0].items():
            value = truth["observations"][key]
            if space.is_image:
                assert base64.b64decode(value) == rows[key][row].tobytes()
            else:
                assert value == rows[key][row].tolist()
        assert told["follows"]


def compare(got, expected):
    if expected is None:
        assert got is None
        return
    assert got.keys() == expected.keys()
    for key in expected:
        assert got[key] == pytest.approx(expected[key], abs=1e-5)


def test_the_true_values_are_of_filtered_states_and_of_what_came(name, agent, studio):
    begun = begin(studio)
    told = walk(studio, begun["id"], ["recorded"] * 2)[-1]["true"]
    if agent.latent_model.valuation is None:
        assert name == "planet" and "value" not in told and "to_go" not in told
        return
    feat = get_feat(truly_filtered(agent, recorded(name), MOMENT + 2))
    value = float(agent.latent_model.valuation.critic.mean(feat)[0])
    assert told["value"] == pytest.approx(value, rel=2e-3, abs=1e-4)
    # Dreamer and DreamerV2 count the reward for arriving, DreamerV3 begins with the next.
    first = MOMENT + 2 + (name == "dreamerv3")
    gamma = agent.latent_model.valuation.discount
    came = sum(gamma**i * reward for i, reward in enumerate(range(first, ROWS)))
    assert told["to_go"] == pytest.approx(came, rel=1e-6)


def test_the_same_seed_and_actions_are_the_same_dream(studio):
    choices = ["recorded", *studio.about()["choices"], "recorded"]
    dreams = [begin(studio), begin(studio), begin(studio, seed=4)]
    told = [[dream["step"], *walk(studio, dream["id"], choices)] for dream in dreams]
    assert told[0] == told[1]
    assert told[0] != told[2]
    assert told[0][1]["imagined"] != told[2][1]["imagined"]


def test_going_back_forgets_and_finds_the_same_again(name, studio):
    dream = begin(studio)["id"]
    first = walk(studio, dream, ["recorded", "mode", "recorded"])
    low = {key: space.low.reshape(-1).tolist() for key, space in SPACES[name][2].items()}
    other = studio.step(dream, {"at": 1, "by": "you", "action": low})
    assert other["action"] == low and other["imagined"] != first[1]["imagined"]
    with pytest.raises(RequestError, match="at: expected a whole number from 0 to 2, got 3"):
        studio.step(dream, {"at": 3, "by": "recorded"})
    assert walk(studio, dream, ["mode", "recorded"], at=1) == first[1:]


def test_a_dream_follows_as_long_as_the_recorded_actions_are_taken(name, studio):
    begun = begin(studio)
    action = begun["step"]["next_recorded"]
    same = studio.step(begun["id"], {"at": 0, "by": "you", "action": action})
    exact = walk(studio, begin(studio)["id"], ["recorded"])[0]
    assert same["follows"] and same["by"] == "you"
    assert same["imagined"]["reward"] == pytest.approx(exact["imagined"]["reward"], rel=1e-3)
    high = {key: space.high.reshape(-1).tolist() for key, space in SPACES[name][2].items()}
    choices = [{"by": "you", "action": high}, {"by": "recorded"}]
    apart = [studio.step(begun["id"], {"at": i, **choice}) for i, choice in enumerate(choices, 1)]
    assert [step["follows"] for step in apart] == [False, False]


def test_the_recording_ends_and_a_dream_goes_on(name, studio):
    dream = begin(studio, row=ROWS - 2)["id"]
    last = walk(studio, dream, ["recorded"])[0]
    assert last["true"]["is_last"] and last["true"]["is_terminal"] and last["true"]["cont"] == 0
    assert last["next_recorded"] is None
    with pytest.raises(RequestError, match="no action was recorded at step 1.* row 49, step 1;"):
        studio.step(dream, {"at": 1, "by": "recorded"})
    beyond = walk(studio, dream, ["mode"], at=1)[0]
    assert beyond["true"] is None and not beyond["follows"]
    assert np.isfinite(beyond["imagined"]["reward"])


class FirstRow:
    """The draws of a chunk's first row, in place of an agent's generator."""

    def normal(self, shape):
        return SeededDraws((SEED, 0)).normal([CHUNK, *shape])[0]

    def uniform(self, shape):
        return SeededDraws((SEED, 0)).uniform([CHUNK, *shape])[0]


@pytest.mark.parametrize("name", ["dreamer", "dreamerv2", "dreamerv3"])
def test_the_actors_choice_is_what_the_agent_does_in_evaluation(name, runs):
    agent, studio = runs[name]
    rows = recorded(name)
    agent.rng = FirstRow()
    actions, _ = agent.policy({key: rows[key][0] for key in agent.obs_space}, mode="eval")
    told = walk(studio, begin(studio, row=0)["id"], ["mode"])[0]
    as_rows = {key: value[None] for key, value in actions.items()}
    compare(told["action"], native(name, as_rows, 0))


def test_chance_decides_a_sampled_action_within_the_range(runs):
    for name in ("dreamer", "dreamerv2", "dreamerv3"):
        studio, spaces = runs[name][1], SPACES[name][2]
        taken = []
        for seed in range(12):
            told = walk(studio, begin(studio, seed=seed)["id"], ["sample"])[0]["action"]
            for key, space in spaces.items():
                value = np.reshape(told[key], space.shape)
                assert (space.low <= value).all() and (value <= space.high).all()
            taken.append(str(told))
        assert len(set(taken)) > 1, name


def test_the_seed_decides_the_choice_in_the_same_state(runs):
    studio, rows = runs["dreamer"][1], recorded("dreamer")
    replayed = Replayed(studio.model, rows, 0, SEED)
    dreams = [Dream(studio.model, replayed, rows, 0, seed) for seed in (0, 0, 1)]
    first, again, other = (dream.choose(0, "sample")["action"].tolist() for dream in dreams)
    assert first == again != other


def test_the_model_sees_sampled_actions_as_the_environment_would(runs):
    agent, studio = runs["dreamerv3"]
    latent = studio.model.initial()
    taken = [studio.model.choose(latent, "sample", (seed, 0))["action"] for seed in range(20)]
    # DreamerV3 samples beyond the range, where the environment acts as at its limit.
    assert np.abs(taken).max() == 1.0 and np.abs(taken).min() < 1.0


def test_only_the_planner_has_one_choice(runs):
    choices = {name: studio.about()["choices"] for name, (_, studio) in runs.items()}
    both = ["mode", "sample"]
    assert choices == {"planet": ["mode"], **dict.fromkeys(["dreamer", *list(SPACES)[2:]], both)}


def test_nothing_is_compiled_twice(studio):
    for row in (0, 5, 30):
        dream = begin(studio, row=row)["id"]
        walk(studio, dream, ["recorded", *studio.about()["choices"] * 2, "recorded"])
    assert set(studio.model.traces().values()) == {1}


def test_of_a_long_past_the_model_sees_the_last_rows():
    class Spy:
        initial = staticmethod(lambda: "nothing")

        def observe(self, rows, latent, seed):
            seen.append((rows["reward"].tolist(), rows["is_first"].tolist(), latent, seed))
            return (np.zeros([CHUNK, 1]), np.zeros([CHUNK, 1])), {}

    seen = []
    rows = episode(*SPACES["dreamer"][:2], 400, 0)
    replayed = Replayed(Spy(), rows, 300, 7)
    replayed.latent(300)
    assert replayed.first == 300 - WARM_UP
    assert [number for chunk in seen for number in chunk[0]][: WARM_UP + 1] == list(range(50, 301))
    assert seen[0][1] == [True] + [False] * (CHUNK - 1) and seen[0][2:] == ("nothing", (7, 0))
    assert not any(any(chunk[1]) for chunk in seen[1:])
    assert not rows["is_first"][50]


def test_filtering_reads_only_the_rows_that_it_needs():
    class Stored:
        """Like a `StoredArray`, of which all is read for anything but a slice."""

        def __init__(self, array):
            self.array = array

        def __len__(self):
            return len(self.array)

        def __getitem__(self, rows):
            assert isinstance(rows, slice) and rows.step is None, rows
            reads.append(len(self.array[rows]))
            return self.array[rows]

    class Spy:
        initial = staticmethod(lambda: "nothing")

        def observe(self, rows, latent, seed):
            seen.extend(rows["reward"].tolist())
            return (np.zeros([CHUNK, 1]), np.zeros([CHUNK, 1])), {}

    reads, seen = [], []
    rows = {key: Stored(x) for key, x in episode(*SPACES["dreamer"][:2], ROWS, 0).items()}
    Replayed(Spy(), rows, MOMENT, SEED).latent(ROWS - 1)
    assert max(reads) <= CHUNK and sum(reads) == ROWS * len(rows)
    assert seen == [*range(ROWS), *[ROWS - 1] * (-ROWS % CHUNK)]


def test_a_model_without_decoder_predicts_what_states_are_worth(tmp_path):
    small_run(
        tmp_path,
        "dreamer",
        dreamer__objective="reward",
        dreamer__diagnostic_decoder=False,
        dreamer__value_model=False,
    )
    studio = Studio(tmp_path)
    about = studio.about()
    assert (about["decoded"], about["discount"]) == ([], None)
    begun = begin(studio, serial=1)
    told = walk(studio, begun["id"], ["mode"])[0]
    assert told["imagined"].keys() == {"reward", "observations"}
    assert told["imagined"]["observations"] == {} and "value" not in told["true"]


def test_rewards_are_those_that_the_model_learns(tmp_path):
    small_run(tmp_path, "dreamer", dreamer__clip_rewards="tanh")
    studio = Studio(tmp_path)
    told = studio.episode(1)
    assert told["is_transformed"] and told["return"] == sum(range(ROWS))
    np.testing.assert_allclose(told["rewards"], np.tanh(np.arange(ROWS)), rtol=1e-6)
    truth = begin(studio, row=1, serial=1)["step"]["true"]
    assert truth["reward"] == pytest.approx(np.tanh(1.0))


@pytest.mark.parametrize("counts_arrival", [True, False])
def test_returns_to_go_are_discounted_sums(counts_arrival):
    rewards = np.random.default_rng(0).normal(size=7)
    got = returns_to_go(rewards, 0.9, counts_arrival=counts_arrival)
    for row in range(7):
        rest = rewards[row + (not counts_arrival) :]
        assert got[row] == pytest.approx(sum(0.9**i * r for i, r in enumerate(rest)))


def test_a_dream_ends_somewhere(runs, monkeypatch):
    monkeypatch.setattr("dreamer_tf.apps.dream.dream.LONGEST", 2)
    agent, studio = runs["dreamerv2"]
    model = CompiledModel(agent)
    rows = recorded("dreamerv2")
    dream = Dream(model, Replayed(model, rows, 0, 0), rows, 0, 0)
    for step in range(2):
        dream.take(step, dream.choose(step, "recorded"), "recorded")
    with pytest.raises(RequestError, match="at most 2 steps"):
        dream.take(2, dream.choose(2, "recorded"), "recorded")
