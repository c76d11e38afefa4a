"""Values for tests: a clock, embeddings, clips on their way into a store, references."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from app.adapters.master_key import MasterKey
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT, Candidate, Enrolled, NewEnrollment, Reference, ReferenceBatch
from model.quality import Quality
from model.scoring import Embedding, unit
from model.waveform import Source

N_EMBEDDING = 16
MASTER = MasterKey([bytes(range(32))])
ENCODER_ID = "encoder-a"


class TickingClock:
    """Starts at a fixed time and is one second later at every look."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 1, tzinfo=UTC)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            self._now += timedelta(seconds=1)
            return self._now


def random_embeddings(seed: int, n: int, n_embedding: int = N_EMBEDDING) -> Embedding:
    """(n, n_embedding) unit float32, evenly over the sphere."""
    return unit(np.random.default_rng(seed).standard_normal((n, n_embedding)).astype(np.float32))


def new_enrollment(seed: int, *, speech_s: float = 4.0, n_embedding: int = N_EMBEDDING) -> NewEnrollment:
    return NewEnrollment(
        embedding=random_embeddings(seed, 1, n_embedding)[0],
        quality=Quality(duration_s=speech_s + 1.5, speech_s=speech_s, snr_db=21.5, clipped_fraction=0.01),
        source=Source(format="wav", sample_rate_hz=48_000, channels=2),
    )


def new_reference(
    number: int, embedding: Embedding, *, tenant: str = DEFAULT_TENANT, encoder_id: str = ENCODER_ID
) -> Reference:
    return Reference(
        number=number,
        tenant=tenant,
        speaker_id=f"speaker {number}",
        display_name=None,
        encoder_id=encoder_id,
        embedding=embedding,
        enrollment_count=1,
        speech_s=4.0,
        snr_db=21.5,
    )


def create(store: SpeakerStore, *speaker_ids: str, tenant: str = DEFAULT_TENANT) -> None:
    """Speakers with nothing but an id."""
    for speaker_id in speaker_ids:
        store.create_speaker(tenant, speaker_id, None, {}, None)


def enroll(store: SpeakerStore, speaker_id: str, *seeds: int, tenant: str = DEFAULT_TENANT) -> Enrolled:
    """One clip for each seed, in one call."""
    return store.add_enrollments(tenant, speaker_id, ENCODER_ID, [new_enrollment(seed) for seed in seeds])


def references(embeddings: Embedding, tenant: str = DEFAULT_TENANT) -> list[Reference]:
    """With the numbers 0, 1 and so on."""
    return [new_reference(n, embedding, tenant=tenant) for n, embedding in enumerate(embeddings)]


def batch(references: Sequence[Reference]) -> ReferenceBatch:
    """At least one, of one size of embedding."""
    return ReferenceBatch(
        tenants=tuple(one.tenant for one in references),
        numbers=np.array([one.number for one in references], dtype=np.int64),
        encoder_ids=tuple(one.encoder_id for one in references),
        embeddings=np.stack([one.embedding for one in references]),
        enrollment_counts=np.array([one.enrollment_count for one in references], dtype=np.int64),
        speech_s=np.array([one.speech_s for one in references]),
    )


def speaker_ids(store: SpeakerStore, batches: Iterable[ReferenceBatch]) -> list[tuple[str, str]]:
    """(tenant, speaker_id) of everybody in the batches who is still in the store."""
    numbered = [
        (tenant, int(number)) for one in batches for tenant, number in zip(one.tenants, one.numbers, strict=True)
    ]
    return [
        (tenant, found.speaker_id) for tenant, number in numbered for found in store.find_references(tenant, [number])
    ]


def numbers(candidates: Iterable[Candidate]) -> list[int]:
    return [candidate.number for candidate in candidates]
