"""Rows of `tables.py` <-> the records of `app/records.py`, and the cursor of a list."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Row, Select, func, select

from app.adapters.sealing import Sealer, SpeakerSeal
from app.adapters.tables import enrollments, speakers
from app.errors import StoreError
from app.records import Enrollment, NewEnrollment, Reference, Speaker, consent_end
from model.errors import InvalidArgument
from model.quality import Quality, mean_snr_db
from model.scoring import reference
from model.waveform import Source

_MAX_SEQ = 2**63 - 1


def speaker_query() -> Select[Any]:
    """Speakers with what their enrollments add up to; one row each, for `to_speaker`."""
    return (
        select(
            speakers,
            func.count(enrollments.c.seq).label("enrollment_count"),
            func.coalesce(func.sum(enrollments.c.speech_s), 0.0).label("speech_s"),
            func.max(enrollments.c.encoder_id).label("encoder_id"),
        )
        .select_from(speakers.outerjoin(enrollments))
        .group_by(speakers.c.seq)
    )


def to_speaker(row: Row[Any]) -> Speaker:
    return Speaker(
        number=row.seq,
        tenant=row.tenant,
        speaker_id=row.speaker_id,
        display_name=row.display_name,
        metadata=row.metadata,
        consent=row.consent,
        enrollment_count=row.enrollment_count,
        speech_s=row.speech_s,
        encoder_id=row.encoder_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def json_object(values: Mapping[str, Any]) -> dict[str, Any]:
    """For a JSON column. Raises InvalidArgument for what JSON cannot say, such as NaN."""
    try:
        json.dumps(values := dict(values), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"Metadata and consent are JSON objects, and these are none: {error}.") from error
    return values


def consent_values(consent: Mapping[str, Any] | None) -> dict[str, Any]:
    """The columns of a consent. Raises InvalidArgument."""
    return {
        "consent": None if consent is None else json_object(consent),
        "consent_expires_at": consent_end(consent),
    }


def enrollment_values(
    tenant: str,
    speaker_id: str,
    encoder_id: str,
    enrollment_id: str,
    clip: NewEnrollment,
    seal: SpeakerSeal,
    now: datetime,
) -> dict[str, Any]:
    """The row of one clip."""
    return {
        "tenant": tenant,
        "enrollment_id": enrollment_id,
        "speaker_id": speaker_id,
        "encoder_id": encoder_id,
        "embedding": seal.seal(clip.embedding, encoder_id),
        "duration_s": clip.quality.duration_s,
        "speech_s": clip.quality.speech_s,
        "snr_db": clip.quality.snr_db,
        "clipped_fraction": clip.quality.clipped_fraction,
        "source_format": clip.source.format,
        "source_sample_rate_hz": clip.source.sample_rate_hz,
        "source_channels": clip.source.channels,
        "created_at": now,
    }


def to_enrollment(row: Row[Any]) -> Enrollment:
    return Enrollment(
        enrollment_id=row.enrollment_id,
        speaker_id=row.speaker_id,
        encoder_id=row.encoder_id,
        quality=Quality(
            duration_s=row.duration_s,
            speech_s=row.speech_s,
            snr_db=row.snr_db,
            clipped_fraction=row.clipped_fraction,
        ),
        source=Source(format=row.source_format, sample_rate_hz=row.source_sample_rate_hz, channels=row.source_channels),
        created_at=row.created_at,
    )


def reference_query() -> Select[Any]:
    """Speakers beside each of their enrollments, oldest first; a speaker's rows, for `to_reference`, lie together."""
    return (
        select(
            speakers.c.seq,
            speakers.c.tenant,
            speakers.c.speaker_id,
            speakers.c.display_name,
            speakers.c.data_key,
            enrollments.c.encoder_id,
            enrollments.c.embedding,
            enrollments.c.speech_s,
            enrollments.c.snr_db,
        )
        .select_from(speakers.outerjoin(enrollments))
        .order_by(speakers.c.seq, enrollments.c.seq)
    )


def to_reference(rows: Sequence[Row[Any]], sealer: Sealer) -> Reference:
    """One speaker's rows, at least one -> the reference. Raises StoreError where the embeddings give none."""
    first = rows[0]
    seal = sealer.of(first.tenant, first.speaker_id, first.data_key)
    try:
        embedding = reference(np.stack([seal.open(row.embedding, row.encoder_id) for row in rows]))
    except ValueError as error:
        raise StoreError(
            f"The enrollments of speaker {first.speaker_id!r} (tenant {first.tenant!r}) give no reference: {error}. "
            "Remove them and enrol the speaker again."
        ) from error
    return Reference(
        number=first.seq,
        tenant=first.tenant,
        speaker_id=first.speaker_id,
        display_name=first.display_name,
        encoder_id=first.encoder_id,
        embedding=embedding,
        enrollment_count=len(rows),
        speech_s=sum(row.speech_s for row in rows),
        snr_db=mean_snr_db([row.snr_db for row in rows]),
    )


def to_cursor(seq: int) -> str:
    """The cursor of the page after the speaker with this `seq`."""
    return base64.urlsafe_b64encode(f"after {seq}".encode()).decode()


def from_cursor(cursor: str) -> int:
    """The inverse of `to_cursor`. Raises InvalidArgument for anything that it did not make."""
    try:
        text = base64.urlsafe_b64decode(cursor.encode("ascii")).decode("ascii")
    except (binascii.Error, UnicodeError):
        text = ""
    match = re.fullmatch(r"after (\d{1,19})", text, re.ASCII)
    if match is None or int(match[1]) > _MAX_SEQ or to_cursor(int(match[1])) != cursor:
        raise InvalidArgument(
            f"The cursor {cursor[:80]!r} is none that this service made. Pass the next_cursor of the previous page, or "
            "no cursor for the first page."
        )
    return int(match[1])
