"""Who is enrolled in bench/gallery.py, and who knocks: made-up embeddings, the same ones at every call."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch

from app.adapters.master_key import MasterKey
from app.adapters.sealing import Sealer
from app.adapters.sql_store import open_store
from app.records import DEFAULT_TENANT, ReferenceBatch
from model.scoring import Embedding, unit

N_EMBEDDING = 192
ENCODER_ID = "bench"
SEED = 1
MASTER = MasterKey([bytes(32)])
MADE_AT = "2026-01-01 00:00:00.000000"
DECAY = 32.0
"""Axes over which the spread falls by e, of voices that are made to be alike: 32 directions count then, by participation
ratio, and 31 of 448 do in what the shipped encoder makes of 771 clips of LibriSpeech and speechocean762."""


@dataclass(frozen=True)
class Crowd:
    """`n` speakers. Alike as voices are, most of their spread lies in a few directions; else it is the same in all."""

    n: int
    is_like_voices: bool = False

    def blocks(self) -> Iterator[Embedding]:
        """Unit vectors, (up to 10,000, N_EMBEDDING) at a time."""
        rng = np.random.default_rng(SEED)
        axes = np.arange(N_EMBEDDING, dtype=np.float32)
        spread: Embedding = np.exp(-axes / DECAY if self.is_like_voices else 0 * axes).astype(np.float32)
        for start in range(0, self.n, 10_000):
            block: Embedding = rng.standard_normal((min(10_000, self.n - start), N_EMBEDDING), dtype=np.float32)
            block *= spread
            yield unit(block)


@dataclass(frozen=True, eq=False)
class Planted:
    """Probes, each at a cosine of 0.6 to 0.7 from the reference of a speaker."""

    probes: Embedding
    best: np.ndarray[Any, np.dtype[np.int64]]
    """Numbers of the speakers with the highest cosine, by a float32 scan."""


def planted(stored: Embedding, n: int) -> Planted:
    rng = np.random.default_rng(SEED + 1)
    own = stored[rng.integers(len(stored), size=n)]
    noise = rng.standard_normal(own.shape, dtype=np.float32)
    noise = unit(noise - np.sum(noise * own, axis=1, keepdims=True) * own)
    cosines = rng.uniform(0.6, 0.7, (n, 1)).astype(np.float32)
    probes = unit(cosines * own + np.sqrt(1 - cosines**2) * noise)
    scores, best = np.full(n, -2.0, np.float32), np.zeros(n, np.int64)
    for start in range(0, len(stored), 8192):
        block = torch.from_numpy(probes) @ torch.from_numpy(stored[start : start + 8192]).T
        of_block, found = (one.numpy() for one in torch.max(block, dim=1))
        is_better = of_block > scores
        scores[is_better] = of_block[is_better]
        # The first row has the number 1.
        best[is_better] = found[is_better] + start + 1
    return Planted(probes, best)


def fill(path: Path, crowd: Crowd) -> None:
    """A store of these speakers, each with one clip."""
    open_store(f"sqlite:///{path}", MASTER).close()
    numbers, sealer = iter(range(1, crowd.n + 1)), Sealer(MASTER)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        for block in crowd.blocks():
            ids = [next(numbers) for _ in block]
            keys = [sealer.new_key(DEFAULT_TENANT, f"speaker-{number}") for number in ids]
            seals = [sealer.of(DEFAULT_TENANT, f"speaker-{number}", key) for number, key in zip(ids, keys, strict=True)]
            connection.executemany(
                "INSERT INTO speakers (seq, tenant, speaker_id, metadata, created_at, updated_at, data_key)"
                " VALUES (?, ?, ?, '{}', ?, ?, ?)",
                [
                    (number, DEFAULT_TENANT, f"speaker-{number}", MADE_AT, MADE_AT, key)
                    for number, key in zip(ids, keys, strict=True)
                ],
            )
            connection.executemany(
                "INSERT INTO enrollments (tenant, enrollment_id, speaker_id, encoder_id, embedding, duration_s, speech_s,"
                " snr_db, clipped_fraction, source_format, source_sample_rate_hz, source_channels, created_at)"
                " VALUES (?, ?, ?, ?, ?, 8.0, 6.0, 25.0, 0.0, 'wav', 16000, 1, ?)",
                [
                    (
                        DEFAULT_TENANT,
                        blake2b(number.to_bytes(8, "little"), digest_size=16).hexdigest(),  # random, as the service's
                        f"speaker-{number}",
                        ENCODER_ID,
                        seal.seal(row, ENCODER_ID),
                        MADE_AT,
                    )
                    for number, seal, row in zip(ids, seals, block, strict=True)
                ],
            )
        connection.execute("COMMIT")


def batches(crowd: Crowd) -> Iterator[ReferenceBatch]:
    """As the store would hand them over."""
    start = 1
    for block in crowd.blocks():
        for at in range(0, len(block), 2048):
            part = block[at : at + 2048]
            yield ReferenceBatch(
                tenants=(DEFAULT_TENANT,) * len(part),
                numbers=np.arange(start, start + len(part), dtype=np.int64),
                encoder_ids=(ENCODER_ID,) * len(part),
                embeddings=part,
                enrollment_counts=np.ones(len(part), np.int64),
                speech_s=np.full(len(part), 6.0),
            )
            start += len(part)
