"""Values for tests: a clock, embeddings, clips on their way into a store, references."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT, Candidate, Enrolled, NewEnrollment, Reference
from model.quality import Quality
from model.scoring import Embedding, unit
from model.waveform import Source

N_EMBEDDING = 16
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
    speaker_id: str, embedding: Embedding, *, tenant: str = DEFAULT_TENANT, encoder_id: str = ENCODER_ID
) -> Reference:
    return Reference(
        tenant=tenant,
        speaker_id=speaker_id,
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
    """Of `speaker 0`, `speaker 1` and so on."""
    return [new_reference(f"speaker {n}", embedding, tenant=tenant) for n, embedding in enumerate(embeddings)]


def names(candidates: Iterable[Candidate]) -> list[str]:
    return [candidate.speaker_id for candidate in candidates]
