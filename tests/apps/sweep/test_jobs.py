"""From benchmarks to the commands of their runs."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from dreamer_tf import config as configs
from dreamer_tf.apps.sweep.benchmarks import BENCHMARKS
from dreamer_tf.apps.sweep.jobs import plan
from dreamer_tf.config.options import options
from dreamer_tf.runs.run_folder import saved_frames

DMC20 = BENCHMARKS["dmc20"]


@pytest.fixture(scope="module")
def control_tasks():
    """All tasks of dm_control, asked in another process: its import settles on a GL library."""
    code = "from dm_control import suite\nfor pair in suite.ALL_TASKS: print('dmc', *pair, sep='_')"
    environment = os.environ | {"MUJOCO_GL": "disable"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_name_presets_and_tasks_that_exist(name, control_tasks):
    benchmark = BENCHMARKS[name]
    assert configs.load(benchmark.presets)
    assert benchmark.seeds >= 1 and len(set(benchmark.tasks)) == len(benchmark.tasks)
    assert {task for task in benchmark.tasks if task.startswith("dmc_")} <= control_tasks


def test_atari_benchmarks_name_games_that_exist():
    reason = "ale-py is not installed: pip install -e '.[atari]'"
    roms = pytest.importorskip("ale_py.roms", reason=reason)
    games = {f"atari_{name}" for name in roms.get_all_rom_ids()}
    for benchmark in BENCHMARKS.values():
        assert {task for task in benchmark.tasks if task.startswith("atari_")} <= games
    sizes = {"dreamerv2_atari55": 55, "dreamerv3_atari57": 57, "dreamerv3_atari100k": 26}
    assert {name: len(BENCHMARKS[name].tasks) for name in sizes} == sizes


def test_the_first_papers_benchmark_is_20_tasks_with_5_seeds():
    assert len(DMC20.tasks) == 20 and len(plan(DMC20, "runs")) == 100


def test_a_job_is_a_command_of_train(tmp_path):
    job = plan(DMC20, tmp_path, overrides=["--steps", "1e4", "--env.count", "2"])[0]
    assert job.command[:3] == [sys.executable, "-m", "dreamer_tf.apps.train"]
    resolved = configs.parse_args(job.command[3:])
    config = resolved.config
    assert (config.task, config.seed, config.env.count) == (job.task, job.seed, 2)
    assert config.logdir == str(job.folder) == str(tmp_path / job.task / "seed0")
    assert config.steps == job.steps == 10_000
    layers = {f"preset {name}" for name in configs.resolve.read_layers("dmc")}
    assert set(resolved.origins.values()) <= {"default", "command line"} | layers


def test_all_tasks_get_their_first_seed_before_any_gets_a_second():
    jobs = plan(DMC20, "runs", tasks=["dmc_walker_*", "dmc_walker_run"], seeds=[3, 1, 3])
    assert [(job.seed, job.task) for job in jobs] == [
        (seed, f"dmc_walker_{name}") for seed in (3, 1) for name in ("run", "stand", "walk")
    ]


def test_presets_may_be_others():
    [job] = plan(DMC20, "runs", tasks=["dmc_walker_run"], seeds=[0], presets=["dmc", "cpu"])
    assert job.words[:3] == ("--configs", "dmc", "cpu")
    assert job.steps == configs.load(["dmc", "cpu"]).config.steps


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"presets": ["dcm"]}, "dmc"),
        ({"overrides": ["--stesp", "3"]}, "steps"),
        ({"overrides": ["--steps", "many"]}, "int"),
        ({"overrides": ["--task", "dmc_walker_walk"]}, "--tasks"),
        ({"overrides": ["--seed=3"]}, "--seeds"),
        ({"overrides": ["--logdir", "x"]}, "--logdir"),
        ({"overrides": ["loose"]}, "loose"),
        ({"overrides": ["--dreamerv3.imag_horizon", "9"]}, "did you mean dreamer.imag_horizon?"),
        ({"tasks": ["dmc_walker_wlak"]}, "dmc_walker_walk"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(arguments, part):
    with pytest.raises(configs.ConfigError) as raised:
        plan(DMC20, "runs", **arguments)
    assert part in str(raised.value)


def test_what_the_sweep_sets_are_options_of_train():
    assert {"task", "seed", "logdir", "steps"} <= set(options())


def test_a_run_with_other_options_does_not_count_as_one_of_these(tmp_path):
    def planned(*words):
        return plan(DMC20, tmp_path, tasks=["dmc_walker_run"], seeds=[0], overrides=words)

    [job] = planned("--dreamer.imag_horizon", "10", "--steps", "1000")
    configs.save(configs.parse_args(job.words).config, job.folder)
    assert planned("--dreamer.imag_horizon", "10", "--steps", "2000")[0].folder == job.folder
    with pytest.raises(configs.ConfigError, match=r"imag_horizon 10, not 20; .*--logdir"):
        planned("--dreamer.imag_horizon", "20", "--steps", "1000")


def test_a_run_with_options_that_are_not_given_now_does_not_count_either(tmp_path):
    def planned(*words, presets=("dreamerv3_dmc_proprio",)):
        chosen = {"tasks": ["dmc_walker_run"], "seeds": [0], "presets": presets}
        return plan(DMC20, tmp_path, overrides=words, **chosen)

    words = ["--dreamerv3.imag_horizon", "5", "--precision", "auto", "--env.kwargs", "size=3"]
    [job] = planned(*words)
    config = configs.parse_args(job.words).config
    # What the first start chose is no option of the sweep.
    configs.save(dataclasses.replace(config, precision="mixed_bfloat16"), job.folder)
    assert planned(*words)[0].folder == job.folder
    assert planned(*words, "--steps", "99", "--run.start_anew", "true")[0].steps == 99
    with pytest.raises(
        configs.ConfigError, match=r"imag_horizon 5, not 15; give --dreamerv3\.imag"
    ):
        planned(*words[2:])
    with pytest.raises(configs.ConfigError, match=r"precision mixed_bfloat16, not float32"):
        planned(*words[:2], *words[4:])
    with pytest.raises(configs.ConfigError, match="was begun with"):
        planned(*words, presets=("dreamerv3_dmc_proprio", "size12m"))


def test_a_run_is_finished_when_its_newest_checkpoint_has_all_frames(tmp_path):
    [job] = plan(
        DMC20, tmp_path, tasks=["dmc_walker_run"], seeds=[0], overrides=["--steps", "1000"]
    )
    assert saved_frames(job.folder) == 0 and not job.is_finished
    checkpoints = job.folder / "checkpoints"
    for name in (
        "00009-frames900-updates1",
        "00011-frames2000-updates1.damaged",
        "00012-frames2000-updates1.partial",
    ):
        (checkpoints / name).mkdir(parents=True)
    assert saved_frames(job.folder) == 900 and not job.is_finished
    (checkpoints / "00010-frames1000-updates1").mkdir()
    assert saved_frames(job.folder) == 1000 and job.is_finished
    # One that was interrupted in its last updates or its last evaluation has something left to do.
    configs.save(configs.load([], {"run.eval_every": 500}).config, job.folder)
    for pending, evaluated, finished in ((0, 1000, True), (2, 1000, False), (0, 500, False)):
        state = {"pending_updates": pending, "clocks": {"eval": {"last": evaluated}}}
        path = checkpoints / "00010-frames1000-updates1" / "state.json"
        path.write_text(json.dumps(state))
        assert job.is_finished == finished
