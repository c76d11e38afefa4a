"""What a row leaves in a database file when it is deleted, read before it is."""

from __future__ import annotations

from sqlalchemy import Connection, select

from app.adapters.tables import enrollments, fingerprints, idempotency, speakers
from app.adapters.traces import Traces


def add_speaker(traces: Traces, connection: Connection, number: int) -> None:
    """With the enrollments and the answered requests that go with the row."""
    speaker = connection.execute(
        select(speakers.c.tenant, speakers.c.speaker_id, speakers.c.data_key).where(speakers.c.seq == number)
    ).one()
    traces.secrets.append(speaker.data_key)
    traces.names.append((speaker.tenant, speaker.speaker_id))
    clips = connection.execute(
        select(enrollments.c.embedding, enrollments.c.enrollment_id).where(
            enrollments.c.tenant == speaker.tenant, enrollments.c.speaker_id == speaker.speaker_id
        )
    )
    for clip in clips:
        traces.secrets += [clip.embedding, clip.enrollment_id.encode()]
    prints = select(fingerprints.c.sealed).where(fingerprints.c.speaker_seq == number)
    traces.secrets += connection.execute(prints).scalars()
    answered = select(idempotency.c.tenant, idempotency.c.key).where(idempotency.c.speaker_seq == number)
    traces.names += [(row.tenant, row.key) for row in connection.execute(answered)]


def add_enrollment(traces: Traces, connection: Connection, tenant: str, speaker_id: str, enrollment_id: str) -> None:
    """Of the embedding and the fingerprint only: the request that enrolled it still names it. Nothing where there is none."""
    found = connection.execute(
        select(enrollments.c.embedding, fingerprints.c.sealed)
        .select_from(enrollments.outerjoin(fingerprints))
        .where(
            enrollments.c.tenant == tenant,
            enrollments.c.speaker_id == speaker_id,
            enrollments.c.enrollment_id == enrollment_id,
        )
    )
    for row in found:
        traces.secrets += [secret for secret in row if secret is not None]
