"""Keys that tell observations and actions apart, and both from what agents call so themselves."""

import logging

from dreamer_tf.envs.errors import EnvError
from dreamer_tf.specs import LOG_PREFIX, RESERVED_KEYS

logger = logging.getLogger(__name__)

# Agents keep these beside what belongs to observations, in dicts by name: a loss for each, and in
# the replay what is carried from row to row. One list for all of them, so that any agent can learn
# what another one played.
TAKEN_BY_AGENTS = frozenset(
    {
        "action",  # the vector of all actions, in batches
        # losses: of the world model, of actor and critic, and of objectives
        *("cont", "kl", "dyn", "rep", "overshooting"),
        *("policy", "value", "replay_value"),
        *("contrastive", "r2", "infonce", "swav", "temp", "norm"),
        # gradient steps, each with the loss that it applies
        *("model", "actor", "critic", "decoder"),
        *("explore_actor", "explore_critic", "explore_ensemble"),
        # the state that is carried
        *("deter", "stoch"),
    }
)
# Actions have no loss. Their entropies stand beside those of the latent state.
_TAKEN_FOR_ACTIONS = frozenset({"deter", "stoch", "prior", "post", *RESERVED_KEYS})


def named_apart(observations, actions):
    """Codecs of observations and of actions by keys that tell them apart, with a notice for each.

    Keys of rows, such as ``reward``, are not free either. What cannot have its own key gets one
    that begins with ``observation/`` or ``action/``.

    Raises:
      EnvError: If a new name is taken.
    """
    names = new_names(observations, (*TAKEN_BY_AGENTS, *RESERVED_KEYS), LOG_PREFIX)
    observations = renamed(observations, names)
    taken = [key for key in actions if _is_taken(key, _TAKEN_FOR_ACTIONS, LOG_PREFIX)]
    shared = [key for key in actions if key in observations and key not in taken]
    for key in shared:
        logger.warning("%r: an observation has this key, so the action is 'action/%s'", key, key)
    for key in taken:
        logger.warning("%r: that name is taken, so the action is 'action/%s'", key, key)
    return observations, renamed(actions, {key: f"action/{key}" for key in (*shared, *taken)})


def new_names(keys, taken=TAKEN_BY_AGENTS, prefix=None):
    """Dict of those keys of observations that are taken to what they are called instead.

    Args:
      keys: Keys of observations.
      taken: Names that no observation may have.
      prefix: None may begin so; None: all may.
    """
    names = {key: f"observation/{key}" for key in keys if _is_taken(key, taken, prefix)}
    for key, name in names.items():
        logger.warning("%r: that name is taken, so the observation is %r", key, name)
    return names


def renamed(values, names):
    """A dict with other keys.

    Args:
      values: The dict.
      names: Dict of old to new key; others stay.

    Raises:
      EnvError: If two of them would be the same.
    """
    result = {names.get(key, key): value for key, value in values.items()}
    if len(result) < len(values):
        taken = [new for new in names.values() if new in values]
        raise EnvError(f"several entries would be called {', '.join(taken)}: rename one of them")
    return result


def _is_taken(key, taken, prefix):
    return key in taken or (prefix is not None and key.startswith(prefix))
