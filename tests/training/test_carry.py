"""What an agent carries: from acting to the replay, from batch to batch, over a restart."""

import errno
import re

import numpy as np
import pytest
import tensorflow as tf

from dreamer_tf.config import ConfigError
from dreamer_tf.replay import Replay
from dreamer_tf.replay.episode_file import CarryFile, StoredArray
from dreamer_tf.replay.samplers import Piece, Sampler, Sequence
from dreamer_tf.specs import Space, row_spaces
from dreamer_tf.training.guard import NonFiniteGuard
from dreamer_tf.training.learner import Carry
from dreamer_tf.training.loop import Trainer
from tests.counting import CountingEnv
from tests.golden_data import Golden
from tests.training.counting_agent import RememberingAgent, SeededEnv
from tests.training.test_loop import metrics, newest_state, outcome

EVERYTHING = {
    "replay.sampler": "starts",
    "replay.online": 0.5,
    "replay.ongoing": True,
    "replay.consecutive": 3,
    "replay.carry": True,
}
"""Options that make every kind of memory count."""


@pytest.fixture
def remembering(agents):
    agents.make.kind = RememberingAgent
    return agents


class Recorded(Sampler):
    """Draws the recorded chunks without their first row, which only gave the start."""

    def __init__(self, start, length, continues):
        self._place = start, length
        self._continues = continues

    def draw(self, rng, catalogue, count, length):
        return [
            Sequence((Piece(serial + 1, *self._place),), bool(continues))
            for serial, continues in enumerate(self._continues)
        ]


def test_recorded_starts_actions_and_observations(tmp_path):
    """A recorded row holds the action taken after it, and what was remembered after it."""
    golden = Golden("v3_replay_context")
    batch_size, length, context = (
        golden.settings[key] for key in ("batch", "length", "replay_context")
    )
    chunks = golden.group("in")
    memory = {key: chunks[f"dyn/{key}"] for key in ("deter", "stoch")}
    # The recorded flags are random; as observations they are handed through as they are.
    names = {"vec": "vec", **{f"was_{k}": k for k in ("is_first", "is_last", "is_terminal")}}
    obs = {name: chunks[key] for name, key in names.items()}
    spaces = row_spaces(
        {name: Space(array.dtype, array.shape[2:]) for name, array in obs.items()},
        {"action": Space(np.float32, chunks["action"].shape[2:])},
    )
    replay = Replay(
        tmp_path,
        spaces,
        capacity=0,
        seed=0,
        sampler=Recorded(context, length, chunks["consec"][:, 0]),
        carry={key: Space(array.dtype, array.shape[2:]) for key, array in memory.items()},
    )
    for index in range(batch_size):
        for t in range(context + length):
            led = {"action": chunks["action"], **memory}
            before = {key: a[index, t - 1] if t else 0 * a[index, 0] for key, a in led.items()}
            flags = {"is_first": t == 0, "is_last": t == context + length - 1, "is_terminal": False}
            row = {key: array[index, t] for key, array in obs.items()}
            replay.add(row | before | flags | {"reward": chunks["reward"][index, t]}, 0)

    class RecordedAgent:
        def initial_carry(self, size):
            return {key: tf.zeros([size, *array.shape[2:]]) for key, array in memory.items()}

    carry = Carry(RecordedAgent(), batch_size)
    last = golden.group("in/carry")
    carry.keep({key: tf.constant(last[key])[:, None] for key in memory})
    batch = replay.sample(batch_size, length)
    start = carry.begin(batch.continues, replay.carry(batch))
    for key in memory:
        np.testing.assert_array_equal(start[key], golden[f"out/carry/{key}"])
    np.testing.assert_array_equal(batch.rows["action"], golden["out/prevact"])
    np.testing.assert_array_equal(batch.rows["reward"], golden["out/obs/reward"])
    for name, key in names.items():
        np.testing.assert_array_equal(batch.rows[name], golden[f"out/obs/{key}"])


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("consecutive", [1, 4])
def test_sequences_start_from_what_acting_and_training_left(run, remembering, count, consecutive):
    options = EVERYTHING | {"replay.consecutive": consecutive, "run.prefill": 0}
    run(env=lambda: CountingEnv(9), **options, **{"env.count": count})
    starts = remembering.made[0].starts
    assert len(starts) > 100 and len({before for before, _ in starts}) == 10
    # At an episode's first row it does not matter: the agent forgets what went before.
    assert [start for start in starts if start[0] and start[0] != start[1]] == []


def test_memory_that_is_not_kept_is_only_carried_on(run, remembering):
    run(env=lambda: CountingEnv(9), **{"replay.consecutive": 4})
    starts = np.array(remembering.made[0].starts).reshape(-1, 3, 2)
    new, carried = starts[0::4], np.concatenate([starts[phase::4] for phase in (1, 2, 3)])
    assert new[..., 0].any() and not new[..., 1].any()
    inside = carried[..., 0] > 0
    assert inside.any()
    np.testing.assert_array_equal(carried[inside, 0], carried[inside, 1])


def test_without_options_sequences_start_from_nothing(run, remembering):
    run(env=lambda: CountingEnv(9))
    assert {remembered for _, remembered in remembering.made[0].starts} == {0}


def test_random_episodes_have_no_memory_until_they_were_trained_on(run, remembering):
    run(env=lambda: CountingEnv(9), **{"replay.carry": True, "replay.sampler": "starts"})
    starts = remembering.made[0].starts
    assert starts[0] != (0, 0)
    unknown = [index for index, (before, known) in enumerate(starts) if before and not known]
    wrong = [start for start in starts if start[1] not in (0, start[0])]
    assert wrong == []
    assert unknown and len(unknown) < len(starts) / 2 and min(unknown) < 20


@pytest.mark.parametrize(("stop", "count"), [(66, 1), (40, 2)])
def test_a_continued_run_equals_one_that_was_never_stopped(run, remembering, tmp_path, stop, count):
    options = EVERYTHING | {"env.count": count, "steps": 160, "env": SeededEnv}
    whole = run("whole", **options)
    run("parts", **(options | {"steps": stop * count}))
    continued = run("parts", **options)
    assert outcome(continued) == outcome(whole)
    assert newest_state(tmp_path / "parts") == newest_state(tmp_path / "whole")
    first, *_, last = remembering.made
    assert first.starts[-len(last.starts) :] == last.starts
    for path in (tmp_path / "whole" / "replay").glob("*.npz"):
        assert path.read_bytes() == (tmp_path / "parts" / "replay" / path.name).read_bytes()


def test_a_run_goes_on_with_another_batch_size_and_another_sampler(run, remembering, tmp_path):
    run(steps=60, **EVERYTHING)
    run(steps=80, **{"replay.batch_size": 5})
    run(steps=100, **{"replay.online": 0.0, "replay.consecutive": 1, "replay.ongoing": False})
    run(steps=120, **EVERYTHING)
    assert newest_state(tmp_path / "run")["counters"]["env_frames"] == 120


def test_a_skipped_update_leaves_nothing_to_start_from(run, remembering):
    remembering.make.nonfinite = (4,)
    run(env=lambda: CountingEnv(30), **{"replay.consecutive": 50, "run.prefill": 0})
    starts = np.array(remembering.made[0].starts).reshape(-1, 3, 2)
    assert (starts[3, :, 1] > 0).all() and (starts[3, :, 0] == starts[3, :, 1]).all()
    np.testing.assert_array_equal(starts[4, :, 1], 0)
    assert (starts[5, :, 1] > 0).all()


BLOCKS = EVERYTHING | {"run.train_every": 20, "run.train_updates": 6, "env": lambda: CountingEnv(9)}


def test_no_update_is_read_before_the_next_has_begun(run, remembering, monkeypatch):
    """Whether one was skipped, and what the replay is told: one update late, and in no block."""
    events = []

    def note(kind, name, letter):
        original = getattr(kind, name)

        def noted(self, *args):
            events.append(letter)
            return original(self, *args)

        monkeypatch.setattr(kind, name, noted)

    note(RememberingAgent, "train_step", "b")  # begins
    note(Replay, "update", "t")  # the replay is told
    note(NonFiniteGuard, "check", "c")
    run(**BLOCKS)
    # A look at nothing goes before the first of a block.
    assert re.fullmatch("(bc(btc)*tc)+", "".join(events)) and "btcbtc" in "".join(events)


def test_a_block_that_is_interrupted_starts_sequences_from_the_same(run, remembering, monkeypatch):
    remembering.make.nonfinite = (4, 9)
    whole = run("whole", **BLOCKS)
    monkeypatch.setattr(Trainer, "_interrupt_updates", lambda self: True)
    assert outcome(run("pieces", **BLOCKS)) == outcome(whole)
    first, second = remembering.made
    assert first.starts == second.starts


def test_what_is_carried_waits_for_a_full_disk_too(run, remembering, monkeypatch, capsys):
    whole, write, refused = run("whole", **EVERYTHING), CarryFile.write, []

    def refusing(self, *args):
        if len(refused) < 2:
            refused.append(OSError(errno.ENOSPC, "No space left on device"))
            raise refused[-1]
        write(self, *args)

    monkeypatch.setattr(CarryFile, "write", refusing)
    assert outcome(run("waiting", **EVERYTHING)) == outcome(whole)
    shown = capsys.readouterr().out
    assert len(refused) == 2 and shown.count("waits and tries again") == 1
    first, second = remembering.made
    assert first.starts == second.starts


def test_a_disk_that_cannot_be_read_for_a_while_is_waited_for(
    run, remembering, tmp_path, monkeypatch, capsys
):
    """Within blocks; a file that was open then stays unreadable until it is opened anew."""
    whole = run("whole", **EVERYTHING)
    capsys.readouterr()
    read_rows, read_carry, reads, stale, carries = StoredArray.read, CarryFile.read, [], [], []

    def rows(self, *args):
        reads.append(self)
        if len(reads) in (300, 900):
            stale.append(self._file)
        if self._file in stale:
            raise OSError(errno.ESTALE, "Stale file handle")
        read_rows(self, *args)

    def carry(self, *args):
        carries.append(self)
        if len(carries) in (20, 21):
            raise OSError(errno.EIO, "Input/output error")
        return read_carry(self, *args)

    monkeypatch.setattr(StoredArray, "read", rows)
    monkeypatch.setattr(CarryFile, "read", carry)
    assert outcome(run("waiting", **EVERYTHING)) == outcome(whole)
    shown = capsys.readouterr().out
    assert len(stale) == 2 and shown.count("waits and tries again") == 3
    assert "make room" not in shown and shown.count("seconds; the run goes on") == 3
    first, second = remembering.made
    assert first.starts == second.starts
    assert newest_state(tmp_path / "waiting") == newest_state(tmp_path / "whole")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"replay.carry": True}, "replay.carry is true, but the agent 'dreamer' hands nothing"),
        ({"replay.consecutive": 2}, "replay.consecutive is 2, but the agent 'dreamer' carries no"),
    ],
)
def test_an_agent_that_remembers_nothing_says_so(run, option, words):
    with pytest.raises(ConfigError, match=words):
        run(**option)


def test_an_agent_whose_sequences_never_go_on_says_so(run, agents):
    """Nothing is kept with the rows, so what it carries from batch to batch is all there is."""

    class Carrying(RememberingAgent):
        carry_space = {}

    agents.make.kind = Carrying
    with pytest.raises(ConfigError, match="replay.consecutive is 1, but the agent 'dreamer' carr"):
        run()
    run(steps=40, **{"replay.consecutive": 2})
    assert any(remembered for _, remembered in agents.made[-1].starts)


def test_a_run_whose_episodes_never_end_learns_from_what_is_being_played(run, agents, tmp_path):
    run(env=lambda: CountingEnv(10_000), **{"replay.ongoing": True, "run.eval_every": 0})
    assert int(agents.made[0].updates) > 20
    # It is still being played, and lies in pieces.
    replay = tmp_path / "run" / "replay"
    assert not list(replay.glob("*.npz"))
    assert sum(len(np.load(path)["reward"]) for path in replay.glob("*/*.npz")) == 101
    last = metrics(tmp_path / "run")[-1]
    assert (last["replay/rows"], last["replay/ongoing_rows"]) == (0, 101)
    assert last["replay/ongoing_bytes"] > 101
