"""Batch norms folded into the convolutions before them: the same embeddings for less time, once training is over."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.encoder import Block, Residual, SiameseEncoder

PAIRS: dict[type[nn.Module], list[tuple[str, str]]] = {
    Block: [("conv", "norm")],
    Residual: [("conv_1", "norm_1"), ("conv_2", "norm_2")],
}
"""By module: each convolution and the norm right behind it."""


def fuse_norms(encoder: SiameseEncoder) -> None:
    """In place; the encoder is in evaluation mode from then on and is not trained any further."""
    encoder.eval()
    for module in list(encoder.modules()):
        for conv, norm in PAIRS.get(type(module), []):
            setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm)))
            setattr(module, norm, nn.Identity())
