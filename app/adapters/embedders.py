"""The Embedder that runs a bundle's encoder on the calling thread, and the choice of device."""

from __future__ import annotations

import re

import numpy as np
import torch

from app.adapters.batching import BatchingEmbedder
from app.adapters.engines import ONNXRUNTIME, TORCHSCRIPT, Engine, choose_engine, warm_up
from app.errors import SettingsError
from model.bundle import Bundle, is_graph
from model.bundle_encoder import open_encoder_in
from model.embedding import MIN_SAMPLES, embed
from model.errors import BundleError
from model.scoring import Embedding, unit
from model.waveform import SAMPLE_RATE_HZ, Source, Waveform

ENGINES = ("auto", TORCHSCRIPT, ONNXRUNTIME)


class BundleEmbedder:
    """One encoder, shared by all worker threads: its forward pass keeps no state."""

    def __init__(self, bundle: Bundle, engine: Engine, device: str) -> None:
        """`engine` is warm, and on `device` (`cpu`, `cuda` or `cuda:N`)."""
        self.device = device
        self.engine = engine.name
        self.encoder_id = bundle.encoder_id
        self.n_embedding = bundle.n_embedding
        self.n_min_samples = MIN_SAMPLES
        self._encoder = engine.encoder

    def embed(self, waveform: Waveform) -> Embedding:
        """Unit float32 of shape (n_embedding,)."""
        embedding: Embedding = embed(self._encoder, [waveform.samples], self.device)[0]
        return unit(embedding)

    def close(self) -> None:
        """Nothing to end."""


def open_embedder(engine: str, bundle: Bundle, device: str) -> BundleEmbedder | BatchingEmbedder:
    """The embedder that an engine's name stands for; `auto` is the fastest that embeds as TorchScript does.

    Raises SettingsError for a name that goes with no such bundle or device, BundleError for an encoder that cannot be
    loaded, or is not the one that its card describes.
    """
    opened = _opened(engine, bundle, device)
    n_embedding = len(
        opened.embed(Waveform(np.full(SAMPLE_RATE_HZ, 0.1, np.float32), Source("wav", SAMPLE_RATE_HZ, 1)))
    )
    if n_embedding != bundle.n_embedding:
        raise BundleError(
            f"the encoder of bundle {bundle.bundle_id} gives embeddings of {n_embedding} numbers, and its card says "
            f"{bundle.n_embedding}"
        )
    return opened


def _opened(engine: str, bundle: Bundle, device: str) -> BundleEmbedder | BatchingEmbedder:
    if engine not in ENGINES:
        raise SettingsError(f"VOUCH_ENGINE is {engine!r}, which is none of this release; it has: {', '.join(ENGINES)}.")
    if is_graph(bundle.card):
        if engine == TORCHSCRIPT:
            raise SettingsError(
                f"VOUCH_ENGINE is {engine!r}, and the encoder of bundle {bundle.bundle_id} is an ONNX graph. Set it to auto."
            )
        return BundleEmbedder(bundle, _warm(ONNXRUNTIME, bundle, device), device)
    if device == "cpu":
        return BundleEmbedder(bundle, choose_engine(engine, bundle), device)
    if engine == ONNXRUNTIME:
        raise SettingsError(
            f"VOUCH_ENGINE is {engine!r}, which runs on the CPU, and the device is {device!r}. Set VOUCH_ENGINE to auto, "
            "or VOUCH_DEVICE to cpu."
        )
    return BatchingEmbedder(bundle, _warm(TORCHSCRIPT, bundle, device).encoder, device)


def _warm(engine: str, bundle: Bundle, device: str) -> Engine:
    opened = Engine(engine, open_encoder_in(bundle.path, bundle.card, device))
    warm_up(opened, device)
    return opened


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
