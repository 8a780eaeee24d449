"""Keras layers and networks.

Every network creates its weights in ``build``, from sizes alone, so that an agent is complete
before anything is traced or restored. ``dtype`` is a Keras dtype policy: with ``mixed_bfloat16``
layers compute in bfloat16 while their variables, and everything the networks return, are float32.
"""

from dreamer_tf.nn.block_gru import BlockDense, BlockGRU
from dreamer_tf.nn.cells import DenseGRU, FeedForwardCell, LayerNormGRU
from dreamer_tf.nn.convolutions import ImageDecoder, ImageEncoder
from dreamer_tf.nn.dense import (
    MLP,
    ConcatDense,
    ConcatMLP,
    dense_layer,
    layer_name,
    rms_silu_layers,
)
from dreamer_tf.nn.ensemble import Ensemble
from dreamer_tf.nn.heads import (
    BernoulliHead,
    GaussianHead,
    NormalHead,
    TwoHotHead,
)
from dreamer_tf.nn.image_pyramid import Pyramid, PyramidDecoder, PyramidEncoder
from dreamer_tf.nn.initializers import fan_in_normal
from dreamer_tf.nn.multikey import MultiDecoder, MultiEncoder, select_keys
from dreamer_tf.nn.norm import LayerNorm, NormAct, RMSNormSiLU
from dreamer_tf.nn.symlog_keys import SymlogDecoder, SymlogEncoder

__all__ = [
    "Pyramid",
    "PyramidDecoder",
    "PyramidEncoder",
    "SymlogDecoder",
    "SymlogEncoder",
    "rms_silu_layers",
    "MLP",
    "BernoulliHead",
    "BlockDense",
    "BlockGRU",
    "ConcatDense",
    "ConcatMLP",
    "DenseGRU",
    "Ensemble",
    "FeedForwardCell",
    "GaussianHead",
    "ImageDecoder",
    "ImageEncoder",
    "LayerNorm",
    "LayerNormGRU",
    "MultiDecoder",
    "MultiEncoder",
    "NormAct",
    "NormalHead",
    "RMSNormSiLU",
    "TwoHotHead",
    "dense_layer",
    "fan_in_normal",
    "layer_name",
    "select_keys",
]
