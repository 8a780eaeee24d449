"""In bfloat16 every network computes in it, and keeps its weights in float32."""

import numpy as np
import pytest

from dreamer_tf import agents, config
from dreamer_tf.specs import Space

OBS_SPACE = {"image": Space(np.uint8, (16, 16, 1)), "position": Space(np.float32, (2,))}
ACT_SPACE = {"action": Space(np.float32, (2,), -1, 1)}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("planet", {}),
        ("dreamer", {"objective": "contrastive", "discount_model": True}),
        ("dreamerv2", {"explore.behavior": "plan2explore", "discount_model": True}),
        ("dreamerv3", {}),
        ("dreamerv3", {"objective": "r2"}),
        ("dreamerv3", {"objective": "dreamerpro"}),
    ],
    ids=str,
)
def test_every_layer_computes_in_bfloat16(name, options):
    overrides = {"agent": name, "precision": "mixed_bfloat16"}
    overrides |= {f"{name}.{key}": value for key, value in options.items()}
    agent = agents.make(config.load(["debug"], overrides).config, OBS_SPACE, ACT_SPACE)
    for network, model in agent.networks.items():
        computed = {layer.compute_dtype for layer in model._flatten_layers()}
        # Prototypes are compared by their cosines.
        assert computed == {"float32" if network == "prototypes" else "bfloat16"}, network
        assert {variable.dtype for variable in model.trainable_variables} == {"float32"}, network
