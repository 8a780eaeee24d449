"""Options of environments and of the replay arrive where a run hands them on."""

import dataclasses

import pytest

from dreamer_tf import config, envs
from dreamer_tf.config.options import build
from dreamer_tf.replay import (
    Consecutive,
    EpisodeEnds,
    FreshFirst,
    UniformStarts,
    UniformWindows,
)
from dreamer_tf.training import session
from tests.agents.test_options import another
from tests.counting import CountingEnv
from tests.training.counting_agent import RememberingAgent

# What no environment is made with.
ELSEWHERE = {"count", "workers", "step_timeout", "resume_steps", "ray"}
OF_ALL = {"action_repeat", "time_limit", "image_size", "keys", "kwargs"}
VALUES = {
    "env.camera": 3,
    "env.image_size": (32, 48),
    "env.keys": "count|echo",
    "env.kwargs": '{"size": 3}',
    "env.ray.address": "auto",
}


@pytest.fixture(scope="module")
def settings():
    """A `Config` whose options of environments all have other values than usual."""
    usual = {k: o.default for k, o in config.options().items() if k.startswith("env.")}
    values = {key: VALUES.get(key) or another(key, value) for key, value in usual.items()}
    assert all(values[key] != value for key, value in usual.items())
    return build(config.flatten(config.load([]).config) | values)


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_an_environment_is_made_with_every_option(settings, own, evaluation, monkeypatch):
    made, started = [], []

    def make(name, **options):
        made.append((name, options))
        return CountingEnv()

    def start(constructors, **options):
        started.append(options)
        return envs.vector.VectorEnv(constructors, **options)

    monkeypatch.setattr(envs, "from_user" if own else "make", make)
    monkeypatch.setattr(envs, "VectorEnv", start)
    env = CountingEnv if own else None
    options = {"count": 2, "seed": 3, "workers": "inline", "evaluation": evaluation}
    session.make_vector_env(settings, env, **options).close()
    fields = {field.name for field in dataclasses.fields(settings.env)}
    expected = {key: getattr(settings.env, key) for key in (OF_ALL if own else fields - ELSEWHERE)}
    expected |= {"kwargs": {"size": 3}}
    if not own:
        expected |= {"atari": dataclasses.asdict(settings.env.atari), "evaluation": evaluation}
    assert made == [(env or settings.task, expected)] * 2
    limit = settings.env.step_timeout
    assert started == [{"seed": 3, "workers": "inline", "step_timeout": limit}]


@pytest.mark.parametrize(
    ("preset", "options", "expected"),
    [
        ("dreamer", {}, [UniformWindows]),
        ("dreamerv2_discrete", {}, [EpisodeEnds]),
        ("dreamerv3", {}, [FreshFirst, 1.0, UniformStarts]),
        (
            "dreamerv3",
            {"replay.online": 0.5, "replay.consecutive": 3},
            [Consecutive, 3, FreshFirst, 0.5, UniformStarts],
        ),
    ],
)
def test_a_replay_draws_as_its_options_say(preset, options, expected, tmp_path):
    loaded = config.load([preset], options).config
    env = CountingEnv()
    agent = RememberingAgent(loaded, env.obs_space, env.act_space)
    replay = session.make_replay(loaded, tmp_path, agent)
    parts, sampler = [], replay._sampler
    while sampler:
        own = vars(sampler)
        parts += [type(sampler), *(own[name] for name in ("_batches", "_share") if name in own)]
        sampler = own.get("_sampler")
    assert parts == expected
    assert bool(replay.carry_space) == loaded.replay.carry
    assert replay._ongoing == loaded.replay.ongoing
