"""Access to the recorded numbers of the authors' implementations.

The folder is taken from the variable GOLDEN, by default tests/golden. Every size comes from the
files, so the same tests run on another recording.
"""

import ast
import json
import os
import pathlib

import numpy as np

FOLDER = pathlib.Path(os.environ.get("GOLDEN", pathlib.Path(__file__).parent / "golden"))


class Golden:
    """One recording: arrays by name and the settings they were made with."""

    def __init__(self, name):
        with np.load(FOLDER / f"{name}.npz") as arrays:
            self.arrays = dict(arrays)
        description = json.loads((FOLDER / f"{name}.json").read_text())
        self.settings = description["hyperparameters"]
        self._described = description["arrays"]

    def __getitem__(self, key):
        return self.arrays[key]

    def setting(self, key):
        """What an array was recorded with, as text."""
        return self._described[key]["setting"]

    def group(self, prefix):
        """Arrays below ``prefix/``, without it."""
        start = prefix + "/"
        return {k.removeprefix(start): v for k, v in self.arrays.items() if k.startswith(start)}


def parse_pairs(text):
    """``a=1, b=2`` as a dict."""
    return {k.strip(): ast.literal_eval(v) for k, v in (p.split("=") for p in text.split(","))}


BFLOAT16 = 3e-2
"""A tolerance for networks whose products have eight binary digits."""


def assert_close(actual, expected, tolerance=2e-5, name=""):
    """The recordings' tolerance: relative to the largest entry, plus 1e-6."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{name}: {actual.shape} is not {expected.shape}"
    bound = tolerance * np.abs(expected).max(initial=0.0) + 1e-6
    worst = np.abs(actual - expected).max(initial=0.0)
    assert worst <= bound, f"{name}: differs by {worst}, allowed {bound}"


def v1_weights(world_model=None, rssm=None, encoder=None, decoder=None, heads=None):
    """Maps names of the V1 recordings to variables, or to lists of them along the input axis.

    Args:
      world_model: Everything below at once, or instead the parts:
      rssm: `RSSM`.
      encoder: `MultiEncoder` with images.
      decoder: `MultiDecoder` with images.
      heads: Dict of recorded name to `MLP`.

    Returns:
      Dict of recorded name to a list of Keras variables, which together, concatenated along the
      first axis, are the recorded array.
    """
    weights = {}
    if world_model is not None:
        rssm, encoder = world_model.rssm, world_model.encoder
        decoder = world_model.objective.decoder
        names = {"reward": "reward", "cont": "pcont"}
        heads = {names[k]: head for k, head in world_model.heads.items()} | (heads or {})
    if encoder is not None:
        weights |= _layers("encoder", encoder.cnn.convs)
    if decoder is not None:
        weights |= _layers("decoder", [decoder.cnn.dense, *decoder.cnn.deconvs])
    if rssm is not None:
        weights |= {
            "rssm/img_in/kernel": rssm.cell.img_in.kernels,
            "rssm/img_in/bias": [rssm.cell.img_in.bias],
            "rssm/gru/kernel": [rssm.cell.gru.kernel],
            "rssm/gru/recurrent_kernel": [rssm.cell.gru.recurrent_kernel],
            "rssm/gru/bias": [rssm.cell.gru.bias],
            "rssm/obs_hidden/kernel": rssm.post_net.first.kernels,
            "rssm/obs_hidden/bias": [rssm.post_net.first.bias],
        }
        for name, layer in [
            ("img_hidden", rssm.prior_net.hidden[0]),
            ("img_stats", rssm.prior_net.out),
            ("obs_stats", rssm.post_net.rest.out),
        ]:
            weights |= {f"rssm/{name}/kernel": [layer.kernel], f"rssm/{name}/bias": [layer.bias]}
    for name, head in (heads or {}).items():
        weights |= _layers(name, [*head.hidden, head.out])
    return weights


def _layers(prefix, layers):
    weights = {}
    for layer in layers:
        weights[f"{prefix}/{layer.name}/kernel"] = [layer.kernel]
        weights[f"{prefix}/{layer.name}/bias"] = [layer.bias]
    return weights


def load_weights(weights, recorded):
    """Assigns recorded arrays; every recorded array must have its place and the other way round."""
    assert weights.keys() == recorded.keys(), weights.keys() ^ recorded.keys()
    for name, variables in weights.items():
        sizes = np.cumsum([v.shape[0] for v in variables])[:-1]
        parts = np.split(recorded[name], sizes)
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(part)


def read_weights(weights):
    """The arrays in the recorded layout."""
    return {name: np.concatenate([v.numpy() for v in vs]) for name, vs in weights.items()}


def arrange_gradients(weights, variables, gradients):
    """Gradients of ``variables`` in the recorded layout."""
    by_id = {id(v): g.numpy() for v, g in zip(variables, gradients, strict=True)}
    return {
        name: np.concatenate([by_id[id(v)] for v in vs])
        for name, vs in weights.items()
        if id(vs[0]) in by_id
    }
