"""The Embedder for CUDA: clips that wait at the same time go through the encoder together.

On the CPU a batch gains nothing; on CUDA a single clip leaves most of the device idle. One thread gathers what waits,
bounded by the frames of the padded batch, since that is what memory and time follow. While the device computes one
batch, the next is gathered, laid into pinned memory and copied on a stream of its own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from model.bundle import Bundle
from model.embedding import MIN_SAMPLES, checked, mean_of_windows, padded, windows_of
from model.features import N_HOP_SAMPLES
from model.scoring import Embedding, unit
from model.waveform import Samples, Waveform

MAX_FRAMES = 64_000
"""Of a padded batch: 64 clips of ten seconds. The first feature map of the encoder that ships then takes 0.3 GB."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    samples: Samples
    embedding: Future[Embedding] = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class _Launched:
    batch: Sequence[_Waiting]
    embeddings: Tensor
    """On the CPU, and there once `is_done` is."""
    is_done: torch.cuda.Event | None


class BatchingEmbedder:
    """Fulfils `app.ports.Embedder`; any number of threads may call it. Runs on the CPU too, for tests."""

    engine = "torchscript"

    def __init__(self, bundle: Bundle, encoder: nn.Module, device: str, max_frames: int = MAX_FRAMES) -> None:
        """`encoder` is on `device` and warm."""
        self.device = device
        self.encoder_id = bundle.encoder_id
        self.n_embedding = bundle.n_embedding
        self.n_min_samples = MIN_SAMPLES
        self._encoder = encoder
        self._max_frames = max_frames
        self._waiting: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._kept: _Waiting | None = None  # taken from the queue, and too much for the batch that it came to
        self._copying = torch.cuda.Stream(device) if device.startswith("cuda") else None  # type: ignore[no-untyped-call]  # torch.cuda has no annotations
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def embed(self, waveform: Waveform) -> Embedding:
        """Unit float32 of shape (n_embedding,). A clip's failure is its own caller's alone."""
        windows = windows_of(waveform.samples)
        waiting = [_Waiting(window) for window in windows]
        for one in waiting:
            self._waiting.put(one)
        return unit(mean_of_windows(windows, [one.embedding.result() for one in waiting]))

    @property
    def n_waiting(self) -> int:
        """Clips, or windows of clips, that no batch has taken yet."""
        return self._waiting.qsize()

    def close(self) -> None:
        """What waits is still embedded."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        launched: _Launched | None = None
        is_open = True
        while is_open or launched is not None:
            batch, is_open = self._gather(may_block=launched is None) if is_open else ([], False)
            following = self._launched(batch)
            if launched is not None:
                self._collect(launched)
            launched = following

    def _gather(self, may_block: bool) -> tuple[list[_Waiting], bool]:
        """What waits now, as far as it fits; with `may_block` at least one. Whether more may come."""
        batch: list[_Waiting] = []
        longest = 0
        while True:
            try:
                one = self._kept or self._waiting.get(block=may_block and not batch)
            except queue.Empty:
                return batch, True
            self._kept = None
            if one is None:
                return batch, False
            longest = max(longest, len(one.samples))
            if batch and longest * (len(batch) + 1) > self._max_frames * N_HOP_SAMPLES:
                self._kept = one
                return batch, True
            batch.append(one)

    def _launched(self, batch: Sequence[_Waiting]) -> _Launched | None:
        if not batch:
            return None
        try:
            return self._launch(batch)
        except Exception as error:
            self._fail(batch, error)
            return None

    def _launch(self, batch: Sequence[_Waiting]) -> _Launched:
        """Returns at once on CUDA."""
        samples, lengths = padded([one.samples for one in batch])
        with torch.inference_mode():
            if self._copying is None:
                return _Launched(batch, self._encoder(samples, lengths).float(), None)
            computing = torch.cuda.current_stream(self.device)
            with torch.cuda.stream(self._copying):
                samples = samples.pin_memory().to(self.device, non_blocking=True)
            computing.wait_stream(self._copying)
            samples.record_stream(computing)
            embeddings = self._encoder(samples, lengths.to(self.device)).float()
            on_cpu = torch.empty(embeddings.shape, dtype=embeddings.dtype, pin_memory=True)
            on_cpu.copy_(embeddings, non_blocking=True)
            is_done = torch.cuda.Event()  # type: ignore[no-untyped-call]  # likewise
            is_done.record(computing)
            return _Launched(batch, on_cpu, is_done)

    def _collect(self, launched: _Launched) -> None:
        try:
            if launched.is_done is not None:
                launched.is_done.synchronize()
            embeddings = launched.embeddings.numpy()
        except Exception as error:
            self._fail(launched.batch, error)
            return
        for one, embedding in zip(launched.batch, embeddings, strict=True):
            self._settle(one, embedding)

    def _fail(self, batch: Sequence[_Waiting], error: Exception) -> None:
        """One clip may have failed them all, so each is tried alone."""
        for one in batch:
            if len(batch) == 1:
                one.embedding.set_exception(error)
            elif (alone := self._launched([one])) is not None:
                self._collect(alone)

    @staticmethod
    def _settle(one: _Waiting, embedding: Embedding) -> None:
        try:
            one.embedding.set_result(checked(embedding.copy()))
        except ValueError as error:
            one.embedding.set_exception(error)
