from fractions import Fraction

import pytest

from dreamer_tf import config as configs
from dreamer_tf.config import ConfigError
from dreamer_tf.training.clocks import Due
from dreamer_tf.training.pace import updates_per_block

BATCH = {"replay.batch_size": 16, "replay.batch_length": 64}


def pace(frames_per_step=1, **options):
    return updates_per_block(configs.load((), BATCH | options).config, frames_per_step)


def test_without_a_ratio_the_number_of_updates_counts():
    assert pace(2, **{"run.train_updates": 0.1}) == Fraction(1, 10)


def test_a_ratio_counts_rows_per_agent_step():
    # A batch has 1024 rows.
    assert pace(**{"run.train_ratio": 1024, "run.train_every": 1}) == 1
    assert pace(**{"run.train_ratio": 32, "run.train_every": 1}) == Fraction(1, 32)
    assert pace(4, **{"run.train_ratio": 32, "run.train_every": 1}) == Fraction(1, 128)
    assert pace(4, **{"run.train_ratio": 256, "run.train_every": 40}) == Fraction(5, 2)


def test_rows_are_replayed_as_often_as_the_ratio_says():
    due = Due(every=1, updates=pace(4, **{"run.train_ratio": 100, "run.train_every": 1}))
    agent_steps, updates = 10_000, 0
    for step in range(0, agent_steps, 8):  # Eight environments side by side.
        updates += due.take((step + 8) * 4)
    assert updates == int(100 * agent_steps / 1024)


def test_the_pace_that_was_given_last_holds(tmp_path):
    preset = tmp_path / "preset.yaml"
    preset.write_text("run: {train_ratio: 64}\n")
    resolved = configs.load(["dmc", str(preset)])
    assert (resolved.config.run.train_updates, resolved.config.run.train_ratio) == (0, 64)
    assert resolved.origins["run.train_updates"] == f"preset {preset}"
    resolved = configs.load([str(preset), "dmc"])
    assert (resolved.config.run.train_updates, resolved.config.run.train_ratio) == (100, 0)
    run = configs.load([str(preset)], ["--run.train_updates", "3"]).config.run
    assert (run.train_updates, run.train_ratio) == (3, 0)
    # As it is saved and read again.
    configs.save(configs.load([str(preset)]).config, tmp_path)
    assert configs.read(tmp_path).run == configs.load([str(preset)]).config.run


def test_two_paces_at_once_are_refused():
    words = ["--run.train_ratio", "64", "--run.train_updates", "3"]
    with pytest.raises(ConfigError, match="command line sets run.train_updates 3.0 and run.train"):
        configs.load([], words)


def test_a_run_learns_at_the_ratio(run):
    pace = {"run.train_ratio": 9, "run.train_updates": 0, "run.train_every": 1}
    agent = run(**pace, **{"run.pretrain": 0})
    # 70 of the 100 steps come after the seed episodes; a batch has 18 rows.
    assert int(agent.updates) == 35
