"""Steps within a transaction of `sql_store.py`: each takes the connection and raises the service's own errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from app.adapters import sql_rows
from app.adapters.sealing import Sealer, SpeakerSeal, n_elements
from app.adapters.tables import enrollments, speakers
from app.errors import ModelMismatch, SpeakerNotFound
from app.records import Enrolled, Reference, Speaker


def is_speaker(tenant: str, speaker_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The conditions that pick one speaker."""
    return speakers.c.tenant == tenant, speakers.c.speaker_id == speaker_id


def speaker_not_found(speaker_id: str) -> SpeakerNotFound:
    return SpeakerNotFound(f"There is no speaker {speaker_id!r}. Create the speaker first, or check the id.")


def speaker_exists(connection: Connection, tenant: str, speaker_id: str) -> bool:
    return connection.execute(select(speakers.c.seq).where(*is_speaker(tenant, speaker_id))).first() is not None


def read_speaker(connection: Connection, tenant: str, speaker_id: str) -> Speaker:
    """Raises SpeakerNotFound."""
    row = connection.execute(sql_rows.speaker_query().where(*is_speaker(tenant, speaker_id))).one_or_none()
    if row is None:
        raise speaker_not_found(speaker_id)
    return sql_rows.to_speaker(row)


def open_seal(connection: Connection, tenant: str, speaker_id: str, sealer: Sealer) -> SpeakerSeal:
    """Of a speaker who is there. Raises StoreError."""
    query = select(speakers.c.data_key).where(*is_speaker(tenant, speaker_id))
    return sealer.of(tenant, speaker_id, connection.execute(query).scalar_one())


def lock_speaker(connection: Connection, tenant: str, speaker_id: str) -> int:
    """Keeps others from writing the speaker until the transaction ends. Gives its number. Raises SpeakerNotFound.

    On SQLite the transaction holds the whole database already, and FOR UPDATE is left out.
    """
    query = select(speakers.c.seq).where(*is_speaker(tenant, speaker_id)).with_for_update()
    number: int | None = connection.execute(query).scalar()
    if number is None:
        raise speaker_not_found(speaker_id)
    return number


def read_reference(connection: Connection, tenant: str, speaker_id: str, sealer: Sealer) -> Reference | None:
    """None where the speaker is unknown or has no enrollment. Raises StoreError."""
    rows = connection.execute(sql_rows.reference_query().where(*is_speaker(tenant, speaker_id))).all()
    return sql_rows.to_reference(rows, sealer) if rows and rows[0].encoder_id is not None else None


def change_speaker(connection: Connection, tenant: str, speaker_id: str, **values: Any) -> None:
    """Sets these columns. Raises SpeakerNotFound."""
    changed = connection.execute(update(speakers).where(*is_speaker(tenant, speaker_id)).values(**values))
    if not changed.rowcount:
        raise speaker_not_found(speaker_id)


def read_enrolled(connection: Connection, tenant: str, speaker_id: str, enrollment_ids: Sequence[str]) -> Enrolled:
    """The speaker as it is now, and those of these enrollments that were not taken back since."""
    rows = connection.execute(
        select(enrollments)
        .where(enrollments.c.tenant == tenant, enrollments.c.enrollment_id.in_(enrollment_ids))
        .order_by(enrollments.c.seq)
    )
    return Enrolled(
        speaker=read_speaker(connection, tenant, speaker_id),
        enrollments=tuple(sql_rows.to_enrollment(row) for row in rows),
    )


def require_alike(connection: Connection, tenant: str, speaker_id: str, encoder_id: str, n_embedding: int) -> None:
    """Raises ModelMismatch where the speaker's enrollments are another encoder's."""
    row = connection.execute(
        select(enrollments.c.encoder_id, enrollments.c.embedding)
        .where(enrollments.c.tenant == tenant, enrollments.c.speaker_id == speaker_id)
        .limit(1)
    ).first()
    if row is None:
        return
    if row.encoder_id != encoder_id:
        raise ModelMismatch.between(speaker_id, row.encoder_id, encoder_id)
    n_before = n_elements(row.embedding)
    if n_before != n_embedding:
        raise ValueError(f"encoder {encoder_id} gave embeddings of {n_before} elements before and of {n_embedding} now")
