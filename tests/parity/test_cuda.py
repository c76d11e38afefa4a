"""CPU and CUDA give the same embedding."""

import numpy as np
import pytest
import torch

import shipped
from model.bundle import load_bundle
from model.embedding import embed
from model.torchscript import load_encoder


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cpu_and_cuda_embed_alike() -> None:
    path = load_bundle(shipped.BUNDLE).encoder_path
    rng = np.random.default_rng(1)
    clips = [rng.normal(0.0, 0.1, n).astype(np.float32) for n in (8_000, 16_000, 48_123, 80_000)]
    on_cpu = embed(load_encoder(path, "cpu"), clips)
    on_cuda = embed(load_encoder(path, "cuda"), clips, "cuda")
    assert np.abs(on_cpu - on_cuda).max() <= 1e-3
    assert np.abs(on_cuda[0] - embed(load_encoder(path, "cuda"), clips[:1], "cuda")[0]).max() <= 1e-3
