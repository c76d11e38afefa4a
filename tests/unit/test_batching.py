"""Clips that go through the encoder together embed as each alone, and fail alone. On the CPU, where it is the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from app.adapters.batching import BatchingEmbedder
from app.adapters.embedders import open_embedder
from model.bundle import Bundle, load_bundle
from model.bundle_encoder import open_encoder_in
from model.embedding import MAX_WINDOW_SAMPLES, MIN_SAMPLES
from model.features import N_HOP_SAMPLES
from model.waveform import Source, Waveform
from tiny_bundle import write_tiny_bundle


class Watched(nn.Module):
    """Waits for leave before its first batch, so that the others gather; notes every batch; fails for loud clips."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.shapes: list[tuple[int, int]] = []
        self.has_begun, self.go_on = threading.Event(), threading.Event()

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        self.shapes.append(tuple(samples.shape))  # type: ignore[arg-type]  # two of them
        self.has_begun.set()
        assert self.go_on.wait(timeout=20)
        if float(samples.abs().max()) > 100:
            raise RuntimeError("CUDA out of memory, say")
        embeddings: Tensor = self.encoder(samples, lengths)
        return embeddings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_tiny_bundle(tmp_path_factory.mktemp("batching") / "tiny"))


@pytest.fixture
def watched(bundle: Bundle) -> Iterator[Watched]:
    module = Watched(open_encoder_in(bundle.path, bundle.card))
    yield module
    module.go_on.set()


def clip(n_samples: int, level: float = 0.1) -> Waveform:
    samples = np.random.default_rng(n_samples).normal(0, level, n_samples).astype(np.float32)
    return Waveform(samples, Source("wav", 16_000, 1))


def embed_together(embedder: BatchingEmbedder, watched: Watched, clips: list[Waveform]) -> list[object]:
    """The first clip alone, and all the others while the encoder is held up with it. An error stands for its clip."""
    with ThreadPoolExecutor(len(clips)) as callers:
        first = callers.submit(embedder.embed, clips[0])
        assert watched.has_begun.wait(timeout=20)
        others = [callers.submit(embedder.embed, one) for one in clips[1:]]
        while embedder.n_waiting < len(others):
            threading.Event().wait(0.001)  # callers put their clips into the queue, and tell nobody
        watched.go_on.set()
        return [one.exception(timeout=20) or one.result() for one in (first, *others)]


def test_clips_that_wait_go_together_and_embed_as_alone(bundle: Bundle, watched: Watched) -> None:
    clips = [clip(n) for n in (16_000, MIN_SAMPLES, 9_000, 20_011, 4_000, 30_000)]
    alone = open_embedder("torchscript", bundle, "cpu")
    embedder = BatchingEmbedder(bundle, watched, "cpu")
    found = embed_together(embedder, watched, clips)
    embedder.close()
    assert watched.shapes == [(1, 16_000), (5, 30_000)]
    for one, embedding in zip(clips, found, strict=True):
        np.testing.assert_allclose(embedding, alone.embed(one), atol=1e-6)


def test_a_batch_is_bounded_by_its_padded_frames(bundle: Bundle, watched: Watched) -> None:
    embedder = BatchingEmbedder(bundle, watched, "cpu", max_frames=3 * 8_000 // N_HOP_SAMPLES)
    embed_together(embedder, watched, [clip(8_000) for _ in range(8)])
    embedder.close()
    assert [n for n, _ in watched.shapes] == [1, 3, 3, 1]


def test_a_clip_past_the_bound_runs_alone(bundle: Bundle, watched: Watched) -> None:
    embedder = BatchingEmbedder(bundle, watched, "cpu", max_frames=10)
    embed_together(embedder, watched, [clip(n) for n in (8_000, 9_000, 10_000)])
    embedder.close()
    assert sorted(watched.shapes) == [(1, 8_000), (1, 9_000), (1, 10_000)]


def test_a_clip_that_fails_fails_its_own_caller_only(bundle: Bundle, watched: Watched) -> None:
    clips = [clip(8_000), clip(9_000), clip(9_500, level=1e4), clip(10_000)]
    embedder = BatchingEmbedder(bundle, watched, "cpu")
    found = embed_together(embedder, watched, clips)
    assert [isinstance(one, RuntimeError) for one in found] == [False, False, True, False]
    alone = open_embedder("torchscript", bundle, "cpu")
    np.testing.assert_allclose(embedder.embed(clips[3]), alone.embed(clips[3]), atol=1e-6)
    embedder.close()


def test_a_long_clip_goes_in_windows(bundle: Bundle) -> None:
    embedder = BatchingEmbedder(bundle, open_encoder_in(bundle.path, bundle.card), "cpu")
    long = clip(2 * MAX_WINDOW_SAMPLES + 5)
    alone = open_embedder("torchscript", bundle, "cpu")
    np.testing.assert_allclose(embedder.embed(long), alone.embed(long), atol=1e-6)
    embedder.close()


def test_closing_embeds_what_waits(bundle: Bundle, watched: Watched) -> None:
    embedder = BatchingEmbedder(bundle, watched, "cpu")
    with ThreadPoolExecutor(2) as callers:
        embedding = callers.submit(embedder.embed, clip(8_000))
        assert watched.has_begun.wait(timeout=20)
        closing = callers.submit(embedder.close)
        watched.go_on.set()
        assert closing.result(timeout=20) is None
        assert embedding.result(timeout=20).shape == (bundle.n_embedding,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_batches_embed_as_the_cpu_does(bundle: Bundle) -> None:
    cuda, cpu = open_embedder("auto", bundle, "cuda"), open_embedder("torchscript", bundle, "cpu")
    clips = [clip(n) for n in range(8_000, 40_000, 1_000)]
    with ThreadPoolExecutor(16) as callers:
        for one, embedding in zip(clips, callers.map(cuda.embed, clips), strict=True):
            np.testing.assert_allclose(embedding, cpu.embed(one), atol=1e-3)
    cuda.close()
