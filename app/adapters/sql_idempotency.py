"""Which requests were already answered: rows written in the transaction of the write that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from app.adapters import tables
from app.errors import IdempotencyConflict
from app.records import Idempotency


def created_speaker(connection: Connection, tenant: str, idempotency: Idempotency | None) -> str | None:
    """Id of the speaker that this very request made before; None where it is new. Raises IdempotencyConflict."""
    row = _answered(connection, tenant, idempotency)
    if row is None:
        return None
    if row.enrollment_ids is not None:
        raise _conflict(row)
    query = select(tables.speakers.c.speaker_id).where(tables.speakers.c.seq == row.speaker_seq)
    # None where the speaker was erased since, and the key with it. Otherwise nobody erases it before this transaction ends.
    speaker_id: str | None = connection.execute(query.with_for_update(read=True, key_share=True)).scalar()
    return speaker_id


def enrolled_clips(
    connection: Connection, tenant: str, number: int, idempotency: Idempotency | None
) -> tuple[str, ...] | None:
    """Ids of the enrollments of the speaker with this number that this very request made before; None where it is new. Raises IdempotencyConflict."""
    row = _answered(connection, tenant, idempotency)
    if row is None:
        return None
    if row.enrollment_ids is None or row.speaker_seq != number:
        raise _conflict(row)
    return tuple(row.enrollment_ids)


def remember(
    connection: Connection,
    tenant: str,
    number: int,
    idempotency: Idempotency | None,
    enrollment_ids: Sequence[str] | None,
    now: datetime,
) -> None:
    """Notes what the request did; without a key there is nothing to note."""
    if idempotency is not None:
        connection.execute(
            insert(tables.idempotency).values(
                tenant=tenant,
                key=idempotency.key,
                fingerprint=idempotency.fingerprint,
                speaker_seq=number,
                enrollment_ids=None if enrollment_ids is None else list(enrollment_ids),
                created_at=now,
            )
        )


def _answered(connection: Connection, tenant: str, idempotency: Idempotency | None) -> Row[Any] | None:
    if idempotency is None:
        return None
    row = connection.execute(
        select(tables.idempotency).where(
            tables.idempotency.c.tenant == tenant, tables.idempotency.c.key == idempotency.key
        )
    ).one_or_none()
    if row is not None and row.fingerprint != idempotency.fingerprint:
        raise _conflict(row)
    return row


def _conflict(row: Row[Any]) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"The Idempotency-Key {row.key!r} was used before for another request. Send a new key with a new request, and "
        "the same key only to repeat one unchanged."
    )
