"""Where the arrays of the DreamerV2 recordings live in the networks."""

import numpy as np


class Place:
    """The variables that together, joined along an axis, are one recorded array.

    Attributes:
      variables: Keras variables.
      axis: Along which they are joined.
      columns: Part of a single variable's last axis that the array is, or None: all of it.
    """

    def __init__(self, variables, axis=0, columns=None):
        self.variables = variables
        self.axis = axis
        self.columns = columns

    def gather(self, arrays):
        """The recorded layout of what belongs to the variables (values or gradients)."""
        joined = np.concatenate(arrays, self.axis)
        return joined if self.columns is None else joined[..., self.columns]

    def assign(self, recorded):
        """Sets the variables."""
        if self.columns is not None:
            [variable] = self.variables
            value = variable.numpy()
            value[..., self.columns] = recorded
            variable.assign(value)
            return
        sizes = np.cumsum([v.shape[self.axis] for v in self.variables])[:-1]
        parts = np.split(recorded, sizes, self.axis)
        for variable, part in zip(self.variables, parts, strict=True):
            variable.assign(part)


def rssm_places(rssm):
    """Of an `RSSM` with a `LayerNormGRU`."""
    cell, prior = rssm.cell, rssm.prior_net
    places = {
        "img_in/kernel": Place(cell.img_in.kernels),
        "img_in/bias": Place([cell.img_in.bias]),
        "gru/kernel": Place(cell.gates.kernels),
        "gru/bias": Place([cell.gates.bias]),
        "gru_norm/scale": Place([cell.gates_norm.scale]),
        "gru_norm/offset": Place([cell.gates_norm.offset]),
        "obs_out/kernel": Place(rssm.post_net.first.kernels),
        "obs_out/bias": Place([rssm.post_net.first.bias]),
        **_norm("img_in", cell.img_act),
        **_norm("img_out", prior.acts[0]),
        **_norm("obs_out", rssm.post_net.first_act),
        **_linear("img_out", prior.hidden[0]),
        **_linear("img_stats", prior.out),
        **_linear("obs_stats", rssm.post_net.rest.out),
    }
    return {f"rssm/{name}": place for name, place in places.items()}


def encoder_places(encoder):
    """Of a `MultiEncoder`."""
    places = {}
    if encoder.plan.images:
        places |= _blocks("conv", encoder.cnn.convs, encoder.cnn.acts)
    if encoder.plan.vectors:
        places |= _blocks("vec", encoder.mlp.hidden, encoder.mlp.acts)
    return {f"encoder/{name}": place for name, place in places.items()}


def decoder_places(decoder):
    """Of a `MultiDecoder`: its one output layer holds those of all vectors side by side."""
    places = {}
    if decoder.plan.images:
        places |= _linear("dense", decoder.cnn.dense)
        places |= _blocks("deconv", decoder.cnn.deconvs, decoder.cnn.acts)
    if decoder.plan.vectors:
        places |= _blocks("vec", decoder.mlp.hidden, decoder.mlp.acts)
        start = 0
        for key in decoder.plan.vectors:
            columns = slice(start, start + decoder.plan.size(key))
            start = columns.stop
            for name in ("kernel", "bias"):
                variable = getattr(decoder.mlp.out, name)
                places[f"out_{key}/{name}"] = Place([variable], columns=columns)
    return {f"decoder/{name}": place for name, place in places.items()}


def head_places(name, head, halves=()):
    """Of an `MLP`.

    Args:
      name: As it was recorded.
      head: The network.
      halves: Names of the recorded output layers that the last layer holds side by side.
    """
    places = _blocks("layer", head.hidden, head.acts)
    if halves:
        width = head.out.units // len(halves)
        for index, half in enumerate(halves):
            columns = slice(index * width, (index + 1) * width)
            places[f"{half}/kernel"] = Place([head.out.kernel], columns=columns)
            places[f"{half}/bias"] = Place([head.out.bias], columns=columns)
    else:
        places |= _linear("out", head.out)
    return {f"{name}/{key}": place for key, place in places.items()}


def load(places, recorded):
    """Assigns recorded arrays; every one must have its place and the other way round."""
    assert places.keys() == recorded.keys(), places.keys() ^ recorded.keys()
    for name, place in places.items():
        place.assign(recorded[name])


def read(places):
    """The variables in the recorded layout."""
    return {
        name: place.gather([v.numpy() for v in place.variables]) for name, place in places.items()
    }


def arrange(places, variables, gradients):
    """Gradients of ``variables`` in the recorded layout."""
    by_id = {id(v): np.asarray(g) for v, g in zip(variables, gradients, strict=True)}
    return {
        name: place.gather([by_id[id(v)] for v in place.variables])
        for name, place in places.items()
        if id(place.variables[0]) in by_id
    }


def _linear(name, layer):
    return {f"{name}/kernel": Place([layer.kernel]), f"{name}/bias": Place([layer.bias])}


def _norm(name, act):
    if not act.trainable_variables:
        return {}
    return {
        f"{name}_norm/scale": Place([act.norm.scale]),
        f"{name}_norm/offset": Place([act.norm.offset]),
    }


def _blocks(name, layers, acts):
    places = {}
    for index, layer in enumerate(layers):
        places |= _linear(f"{name}{index}", layer)
    for index, act in enumerate(acts):
        places |= _norm(f"{name}{index}", act)
    return places
