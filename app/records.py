"""Frozen values that cross floors. Times are timezone-aware UTC; speech in seconds; embeddings unit float32."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import compress
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.decision import Decision, Flag, OperatingPoint
from model.det_curve import DetCurve
from model.fingerprint import Fingerprint
from model.likelihood import LikelihoodModel
from model.quality import Quality
from model.scoring import Embedding
from model.waveform import Source

Metadata = Mapping[str, Any]
SpeakerStatus = Literal["empty", "enrolling", "enrolled", "stale"]

DEFAULT_TENANT = "default"
"""Whose rows they are while the service has no keys. Every row and every query carries a tenant from the start."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def consent_end(consent: Metadata | None) -> datetime | None:
    """When a consent ends, in UTC: its `expires_at`, in ISO 8601 with a time zone. None where it names no such moment."""
    text = None if consent is None else consent.get("expires_at")
    try:
        end = datetime.fromisoformat(text) if isinstance(text, str) else None
        return None if end is None or end.tzinfo is None else end.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter in the first and the last year that there is
        return None


@dataclass(frozen=True)
class Clip:
    """One upload, decoded, assessed and embedded. `embedding` is None where no frame of speech gave one."""

    quality: Quality
    source: Source
    embedding: Embedding | None
    fingerprint: Fingerprint | None = None
    """All of its words; None where the clip is not to be known again."""


@dataclass(frozen=True)
class Speaker:
    number: int
    """Given by the store at creation and never used twice: whoever is made anew under an erased id has another one. Stays
    within the service; callers know `speaker_id`."""
    tenant: str
    speaker_id: str
    display_name: str | None
    metadata: Metadata
    consent: Metadata | None
    enrollment_count: int
    speech_s: float
    """Net speech of all enrollments."""
    encoder_id: str | None
    """Encoder of the enrollments; None while there are none."""
    created_at: datetime
    updated_at: datetime


class SpeakerKey(NamedTuple):
    """Whom a gallery knows: a tuple, since there may be a million of them."""

    tenant: str
    number: int
    """That of the Speaker."""


@dataclass(frozen=True)
class ChangesMark:
    """How far somebody has read what was changed."""

    transaction: int
    """The oldest that was not over."""
    told: frozenset[int] = frozenset()
    """Numbers of the changes from there on that were read already."""


@dataclass(frozen=True)
class ChangedReferences:
    """Of all tenants."""

    speakers: frozenset[SpeakerKey]
    mark: ChangesMark
    """From where on to ask the next time."""


@dataclass(frozen=True)
class Enrollment:
    enrollment_id: str
    speaker_id: str
    encoder_id: str
    quality: Quality
    source: Source
    created_at: datetime


@dataclass(frozen=True)
class NewEnrollment:
    """A clip on its way into the store."""

    embedding: Embedding
    quality: Quality
    source: Source
    fingerprint: Fingerprint | None = None
    """Those words of it that are kept; None where none are."""


@dataclass(frozen=True)
class ErasedSpeaker:
    """What may be known of somebody who is gone, for as long as it takes to say so elsewhere."""

    number: int
    tenant: str
    speaker_id: str


@dataclass(frozen=True)
class SpeakerPage:
    speakers: tuple[Speaker, ...]
    next_cursor: str | None


@dataclass(frozen=True)
class SpeakerChanges:
    """What PATCH may change; a field is left alone unless named in `fields`."""

    fields: frozenset[Literal["display_name", "metadata", "consent"]]
    display_name: str | None = None
    metadata: Metadata | None = None
    consent: Metadata | None = None


@dataclass(frozen=True)
class Reference:
    """A speaker's stored voice: the mean of the enrollments' unit embeddings, scaled to 1."""

    number: int
    """That of the Speaker."""
    tenant: str
    speaker_id: str
    display_name: str | None
    encoder_id: str
    embedding: Embedding
    enrollment_count: int
    speech_s: float
    snr_db: float | None
    """Mean over the enrollments that have one."""


@dataclass(frozen=True, eq=False)
class StandingBatch:
    """How far the enrollment of many speakers has come, as columns: a million records would cost more than reading them.

    All columns have n entries, one a speaker; n may be 0.
    """

    tenants: tuple[str, ...]
    numbers: NDArray[np.int64]
    encoder_ids: tuple[str, ...]
    enrollment_counts: NDArray[np.int64]
    speech_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.numbers)

    def is_of(self, encoder_id: str) -> NDArray[np.bool_]:
        """(n,): whose embeddings are this encoder's."""
        # Usually all are, and counting is ten times as fast as looking at each from Python.
        if self.encoder_ids.count(encoder_id) == len(self):
            return np.ones(len(self), dtype=np.bool_)
        return np.array([one == encoder_id for one in self.encoder_ids], dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class ReferenceBatch(StandingBatch):
    """The same with the references: what a gallery needs of many speakers."""

    embeddings: Embedding
    """(n, n_embedding), unit. A batch holds embeddings of one size."""

    def chosen(self, mask: NDArray[np.bool_]) -> ReferenceBatch:
        """The speakers for whom `mask`, of shape (n,), is true."""
        if mask.all():
            return self
        return ReferenceBatch(
            tenants=tuple(compress(self.tenants, mask)),
            numbers=self.numbers[mask],
            encoder_ids=tuple(compress(self.encoder_ids, mask)),
            embeddings=self.embeddings[mask],
            enrollment_counts=self.enrollment_counts[mask],
            speech_s=self.speech_s[mask],
        )


@dataclass(frozen=True)
class Idempotency:
    """A caller's Idempotency-Key and a hash of the request it came with."""

    key: str
    fingerprint: str


@dataclass(frozen=True)
class Enrolled:
    """What an enroll call did, or had done when its Idempotency-Key was first seen."""

    speaker: Speaker
    enrollments: tuple[Enrollment, ...]
    flags: tuple[Flag, ...] = ()
    """Of the clips, when they were enrolled; a call that is repeated has none."""


@dataclass(frozen=True)
class Candidate:
    """One speaker that a gallery search brought up, with its cosine score, which may be rounded."""

    number: int
    score: float


@dataclass(frozen=True)
class Verification:
    """The answer to compare and verify. `score`, `llr` and `probability` are None where a clip gave no embedding."""

    decision: Decision
    score: float | None
    llr: float | None
    probability: float | None
    prior: float
    point: OperatingPoint
    threshold_score: float | None
    """The score at which this very trial would meet the point; None where no cosine does, or there is no score."""
    speaker_id: str | None
    clips: tuple[Clip, ...]
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class IdentifiedCandidate:
    number: int
    """That of the Speaker."""
    speaker_id: str
    display_name: str | None
    score: float
    llr: float
    probability: float
    decision: Decision
    threshold_score: float | None
    """The score at which this candidate's trial would meet the operating point."""


@dataclass(frozen=True)
class Identification:
    decision: Decision
    candidates: tuple[IdentifiedCandidate, ...]
    point: OperatingPoint
    threshold_score: float | None
    """That of the best candidate; None where there is none."""
    n_searched: int
    clip: Clip
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What is loaded: the bundle, and what it runs on."""

    bundle_id: str
    sha256: str
    """Of the whole bundle."""
    encoder_id: str
    n_embedding: int
    likelihood: LikelihoodModel
    calibration_id: str
    operating_points: Mapping[str, OperatingPoint]
    card: Mapping[str, Any]
    """The bundle's own account of itself: training data, measured error rates, licence, limits."""
    device: str
    engine: str
    prose: str | None = None
    """The card as Markdown, for people; None where the bundle has none."""
    error_curve: DetCurve | None = None
    """Where the operating points lie; likewise."""
