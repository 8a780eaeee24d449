"""What Dreamer is made of, as its options describe it."""

import dataclasses

from dreamer_tf.agents.acting import ActorBehavior, PlannerBehavior
from dreamer_tf.behaviors import (
    ActionEncoder,
    CrossEntropyPlanner,
    EpsilonGreedy,
    GaussianNoise,
    OneHotActor,
    TanhNormalActor,
)
from dreamer_tf.nn import (
    BernoulliHead,
    DenseGRU,
    GaussianHead,
    MultiDecoder,
    MultiEncoder,
    NormalHead,
)
from dreamer_tf.world_model import (
    RSSM,
    Contrastive,
    GaussianLatent,
    Reconstruction,
    RewardOnly,
    WorldModel,
)

MODE_SAMPLES = {"tanh_mean": 0, "best_of_samples": 100}


def one_action(act_space):
    """The `ActionEncoder` of an action space that Dreamer's actor can serve.

    Raises:
      ValueError: If there is not one action, ``action``, of numbers or of one category.
    """
    actions = ActionEncoder(act_space)
    if list(act_space) != ["action"] or len(actions.parts) != 1:
        described = ", ".join(f"{key}: {space}" for key, space in act_space.items())
        raise ValueError(
            "Dreamer's actor chooses one action, a vector of numbers or one category, under the "
            f"key 'action'; got {described}"
        )
    return actions


def build_world_model(config, obs_space, action_size, dtype):
    """Builds the world model that a configuration describes.

    Args:
      config: `DreamerConfig`.
      obs_space: Dict of observation key to `Space`.
      action_size: Width of an action (A).
      dtype: Keras dtype policy.

    Returns:
      `WorldModel`, and the `MultiDecoder` of its features, which is a part of it only if its
      objective is reconstruction.
    """
    encoder = MultiEncoder(obs_space, **_options(config.encoder), dtype=dtype, name="encoder")
    rssm = RSSM(
        DenseGRU(config.rssm.deter, config.rssm.hidden, dtype=dtype, name="cell"),
        GaussianLatent(config.rssm.stoch, config.rssm.min_std),
        config.rssm.hidden,
        dtype=dtype,
        name="rssm",
    )
    rssm.build(encoder.output_size, action_size)
    decoder = MultiDecoder(
        obs_space, rssm.feat_size, **_options(config.decoder), dtype=dtype, name="decoder"
    )
    objective = {
        "reconstruction": lambda: Reconstruction(decoder),
        "contrastive": lambda: _contrastive(
            config.contrastive, encoder.output_size, rssm.feat_size, dtype
        ),
        "reward": RewardOnly,
    }[config.objective]()

    heads = {"reward": NormalHead(**_options(config.reward), dtype=dtype, name="reward")}
    if config.discount_model:
        heads["cont"] = BernoulliHead(**_options(config.cont), dtype=dtype, name="cont")
    for head in heads.values():
        head.build(rssm.feat_size)
    return WorldModel(encoder, rssm, objective, heads), decoder


def build_actor(config, action, dtype):
    """The actor, not built yet, and the exploration that suit an action.

    Args:
      config: `DreamerConfig`.
      action: `ActionPart`.
      dtype: Keras dtype policy.
    """
    actor = config.actor
    network = {"dtype": dtype, "name": "actor"}
    if action.is_discrete:
        return (
            OneHotActor(actor.layers, actor.units, action.size, **network),
            EpsilonGreedy(*config.exploration_epsilon, config.exploration_decay),
        )
    return (
        TanhNormalActor(
            actor.layers,
            actor.units,
            action.size,
            init_std=actor.init_std,
            min_std=actor.min_std,
            mean_scale=actor.mean_scale,
            mode_samples=MODE_SAMPLES[actor.eval_mode],
            **network,
        ),
        GaussianNoise(config.exploration_noise),
    )


def build_critic(config, feat_size, dtype):
    """The value model: `NormalHead` on features of width ``feat_size``."""
    critic = NormalHead(**_options(config.critic), dtype=dtype, name="critic")
    critic.build(feat_size)
    return critic


def build_behavior(config, action, actor, planned_return, latent):
    """What acts: the actor, or a planner.

    Args:
      config: `DreamerConfig`.
      action: `ActionPart`.
      actor: The actor.
      planned_return: What a planner evaluates candidates with.
      latent: Kind of stochastic state, whose draws a planner needs.

    Raises:
      ValueError: If a planner does not suit the actions, or does not look far enough ahead.
    """
    if config.policy == "actor":
        return ActorBehavior(actor)
    if action.is_discrete:
        raise ValueError("dreamer.policy planner searches continuous actions; these are discrete")
    if config.value_model and config.planner.horizon < 2:
        raise ValueError(
            "dreamer.planner.horizon must be at least 2, because the last state counts by its "
            f"value alone; got {config.planner.horizon}"
        )
    planner = CrossEntropyPlanner(planned_return, **_options(config.planner))
    return PlannerBehavior(planner, latent, action.size)


def _contrastive(config, embed_size, feat_size, dtype):
    sequences, steps = {
        "window": (config.window_sequences, config.window_steps),
        "batch": (None, 1),
        "time": (1, None),
    }[config.negatives]
    state_model = GaussianHead(
        config.layers, config.units, feat_size, dtype=dtype, name="state_model"
    )
    state_model.build(embed_size)
    return Contrastive(state_model, sequences=sequences, steps=steps, candidates=config.candidates)


def _options(config):
    """A group of options as keyword arguments."""
    return dataclasses.asdict(config)
