"""The Embedder that runs a bundle's encoder: TorchScript on CPU or CUDA, or an imported ONNX graph on the CPU."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import nn

from app.errors import SettingsError
from model.bundle import Bundle, is_graph
from model.bundle_encoder import open_encoder_in
from model.embedding import MIN_SAMPLES, embed
from model.scoring import Embedding, unit
from model.waveform import SAMPLE_RATE_HZ, Samples, Waveform

TORCHSCRIPT = "torchscript"
N_WARM_UP_CALLS = 3
"""TorchScript profiles its first calls and compiles after them; no request should wait for that."""


class BundleEmbedder:
    """One encoder, shared by all worker threads: its forward pass keeps no state."""

    def __init__(self, bundle: Bundle, device: str) -> None:
        """Loads and warms the encoder on `device` (`cpu`, `cuda` or `cuda:N`). Raises BundleError."""
        self.device = device
        self.engine = "onnxruntime" if is_graph(bundle.card) else TORCHSCRIPT
        self.encoder_id = bundle.encoder_id
        self.n_embedding = bundle.n_embedding
        self.n_min_samples = MIN_SAMPLES
        self._encoder: nn.Module = open_encoder_in(bundle.path, bundle.card, device)
        second = np.random.default_rng(0).normal(0.0, 0.1, SAMPLE_RATE_HZ).astype(np.float32)
        for _ in range(N_WARM_UP_CALLS):
            self._embed(second)

    def embed(self, waveform: Waveform) -> Embedding:
        """Unit float32 of shape (n_embedding,)."""
        return unit(self._embed(waveform.samples))

    def _embed(self, samples: Samples) -> Embedding:
        embedding: Embedding = embed(self._encoder, [samples], self.device)[0]
        return embedding


def open_embedder(engine: str, bundle: Bundle, device: str) -> BundleEmbedder:
    """The embedder that an engine's name stands for; `auto` is what the bundle's encoder is made for.

    Raises SettingsError for another name, BundleError for an encoder that cannot be loaded.
    """
    if engine not in ("auto", TORCHSCRIPT):
        raise SettingsError(f"VOUCH_ENGINE is {engine!r}, which is none of this release; it has: auto, {TORCHSCRIPT}.")
    if engine == TORCHSCRIPT and is_graph(bundle.card):
        raise SettingsError(
            f"VOUCH_ENGINE is {engine!r}, and the encoder of bundle {bundle.bundle_id} is an ONNX graph. Set it to auto."
        )
    return BundleEmbedder(bundle, device)


def choose_device(wanted: str, bundle: Bundle) -> str:
    """`auto` -> CUDA where there is one and the encoder can run there.

    Raises SettingsError for a CUDA device that is not there, or that the encoder has no use for.
    """
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return "cuda" if n_cuda and not is_graph(bundle.card) else "cpu"
    if wanted != "cpu" and is_graph(bundle.card):
        raise SettingsError(
            f"VOUCH_DEVICE is {wanted!r}, and the encoder of bundle {bundle.bundle_id} is an ONNX graph, which runs on "
            "the CPU. Set it to cpu or auto."
        )
    match = re.fullmatch(r"cuda(?::(\d+))?", wanted)
    if match and int(match[1] or 0) >= n_cuda:
        raise SettingsError(
            f"VOUCH_DEVICE is {wanted!r}, and PyTorch finds {n_cuda} CUDA devices here. Set it to cpu or auto, or install "
            "a CUDA build of PyTorch and its driver."
        )
    return wanted


def use_one_thread_per_worker() -> None:
    """One intra-op thread each: workers in parallel beat threads within one clip, and they must not multiply."""
    torch.set_num_threads(1)
