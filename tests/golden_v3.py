"""Where the arrays of the DreamerV3 recordings live in the networks."""

import numpy as np

from tests.golden_v2 import Place


class FeaturePlace:
    """The kernel of a layer on features, which are [stoch, deter] here and were [deter, stoch].

    Attributes:
      variables: The Keras variable.
    """

    def __init__(self, variable, stoch_size):
        self.variables = [variable]
        self._stoch_size = stoch_size

    def gather(self, arrays):
        """The recorded layout of what belongs to the variable."""
        [array] = arrays
        return np.roll(array, -self._stoch_size, axis=0)

    def assign(self, recorded):
        """Sets the variable."""
        self.variables[0].assign(np.roll(recorded, self._stoch_size, axis=0))


def linear(name, layer, parts=None):
    """Of a layer with a kernel, or with one kernel for each input, and a bias."""
    kernels = parts or [layer.kernel]
    return {f"{name}/kernel": Place(kernels), f"{name}/bias": Place([layer.bias])}


def block_linear(name, layer):
    """Of a `BlockDense`."""
    return {f"{name}/kernel": Place(layer.kernels, axis=1), f"{name}/bias": Place([layer.bias])}


def norm(name, layer):
    """Of an `RMSNormSiLU`."""
    return {f"{name}_norm/scale": Place([layer.scale])}


def hidden(name, mlp):
    """Of the hidden layers of an `MLP`, called ``<name>0``, ``<name>1``, …."""
    places = {}
    for index, (layer, act) in enumerate(zip(mlp.hidden, mlp.acts, strict=True)):
        places |= linear(f"{name}{index}", layer) | norm(f"{name}{index}", act.norm)
    return places


def cell_places(cell):
    """Of a `BlockGRU`."""
    places = block_linear("gru", cell.gates)
    for name in ("in_deter", "in_stoch", "in_action"):
        places |= linear(name, getattr(cell, name)) | norm(name, getattr(cell, f"{name}_norm"))
    for index, (layer, act) in enumerate(zip(cell.hidden, cell.hidden_norms, strict=True)):
        places |= block_linear(f"hidden{index}", layer) | norm(f"hidden{index}", act)
    return places


def rssm_places(rssm):
    """Of an `RSSM` with a `BlockGRU`."""
    prior, post = rssm.prior_net, rssm.post_net
    places = cell_places(rssm.cell)
    places |= hidden("prior", prior) | linear("prior_logit", prior.out)
    places |= linear("post0", post.first, post.first.kernels) | norm("post0", post.first_act.norm)
    for index, (layer, act) in enumerate(zip(post.rest.hidden, post.rest.acts, strict=True)):
        places |= linear(f"post{index + 1}", layer) | norm(f"post{index + 1}", act.norm)
    places |= linear("post_logit", post.rest.out)
    return {f"rssm/{name}": place for name, place in places.items()}


def head_places(name, head, out="out_logits", stoch_size=0):
    """Of an `MLP` that ends in a distribution.

    Args:
      name: As it was recorded.
      head: The network.
      out: Recorded name of its output layer.
      stoch_size: Width of the stochastic state if its input is features.
    """
    places = hidden("layer", head) | linear(out, head.out)
    places["layer0/kernel"] = FeaturePlace(head.hidden[0].kernel, stoch_size)
    return {f"{name}/{key}": place for key, place in places.items()}


def actor_places(name, actor, stoch_size):
    """Of a `JointActor`."""
    places = hidden("layer", actor.trunk)
    places["layer0/kernel"] = FeaturePlace(actor.trunk.hidden[0].kernel, stoch_size)
    for key, layer in actor.outs.items():
        places |= linear(f"out_{key.replace('_std', '_stddev')}", layer)
    return {f"{name}/{key}": place for key, place in places.items()}


def encoder_places(encoder):
    """Of a `SymlogEncoder`."""
    places = {}
    if encoder.plan.vectors:
        places |= hidden("vec", encoder.mlp)
    if encoder.plan.images:
        places |= _convolutions(encoder.cnn)
    return {f"encoder/{name}": place for name, place in places.items()}


def decoder_places(decoder):
    """Of a `SymlogDecoder`."""
    places = {}
    if decoder.plan.vectors:
        places |= hidden("vec", decoder.mlp)
        for key, out in zip(decoder.plan.vectors, decoder.outs, strict=True):
            places |= linear(f"out_{key}", out)
    if decoder.plan.images:
        cnn = decoder.cnn
        places |= _convolutions(cnn) | linear("conv_out", cnn.out)
        places |= block_linear("space_deter", cnn.space_deter) | norm("space", cnn.space_norm)
        places |= hidden("space_stoch", cnn.space_stoch)
        places |= linear("space_stoch1", cnn.space_stoch.out)
    return {f"decoder/{name}": place for name, place in places.items()}


def _convolutions(network):
    places = {}
    for conv, act in zip(network.convs, network.norms, strict=True):
        places |= linear(conv.name, conv) | norm(conv.name, act)
    return places
