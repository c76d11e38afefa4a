"""Every speaker's reference in PostgreSQL, where pgvector searches it: unsealed, and written with the enrollments that it is
made of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from pgvector import HalfVector
from pgvector.psycopg import register_vector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Table,
    delete,
    func,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import sql_rows
from app.adapters.gallery_choice import require_gallery
from app.adapters.sealing import Sealer
from app.adapters.tables import METADATA, speakers
from app.errors import StoreError
from app.records import Reference, ReferenceBatch

_log = logging.getLogger(__name__)

REFERENCES_METADATA = MetaData(naming_convention=METADATA.naming_convention)

# In no migration: it is derived, there only while pgvector is the gallery, and needs the extension.
references = Table(
    "speaker_references",
    REFERENCES_METADATA,
    Column("speaker_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String, nullable=False),
    Column("encoder_id", String, nullable=False),
    # Of all enrollments: how much of it makes a speaker enrolled is a setting.
    Column("speech_s", Double, nullable=False),
    # Of any size, since encoders differ; an index is of one encoder.
    Column("embedding", HALFVEC, nullable=False),
    ForeignKeyConstraint(["speaker_seq"], [speakers.c.seq], ondelete="CASCADE"),
    Index(None, "encoder_id", "tenant", "speech_s"),
)


def make_references(connection: Connection) -> None:
    """The table, where it is not there yet. Raises StoreError where PostgreSQL lacks pgvector."""
    try:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
    except SQLAlchemyError as error:
        raise StoreError(
            f"PostgreSQL gives this database no pgvector ({str(error.__cause__).strip()}). Install pgvector 0.8 or newer and "
            "let this user, or an administrator, run CREATE EXTENSION vector; or set VOUCH_GALLERY=faiss, which does without."
        ) from error
    REFERENCES_METADATA.create_all(connection)


def drop_references(connection: Connection) -> None:
    REFERENCES_METADATA.drop_all(connection)


class PgvectorReferences:
    """Fulfils `app.adapters.followers.Follower`."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def changed(self, connection: Connection, tenant: str, number: int) -> bool:
        require_gallery(connection, "pgvector")
        rows = connection.execute(sql_rows.reference_query().where(speakers.c.seq == number)).all()
        try:
            found = sql_rows.to_reference(rows, self._sealer) if rows and rows[0].encoder_id is not None else None
        except StoreError as error:
            # Whoever takes a damaged enrollment back must be let.
            _log.error("%s Until then the speaker is not identified.", error)
            found = None
        return remove(connection, tenant, [number]) > 0 if found is None else put(connection, found)


def put(connection: Connection, reference: Reference) -> bool:
    """Whether it was not there, or another one. Raises IntegrityError where the speaker is gone."""
    values = {
        "tenant": reference.tenant,
        "encoder_id": reference.encoder_id,
        "speech_s": reference.speech_s,
        "embedding": HalfVector(reference.embedding),
    }
    new = insert(references).values(speaker_seq=reference.number, **values)
    is_another = or_(*(references.c[name].is_distinct_from(new.excluded[name]) for name in values))
    written = new.on_conflict_do_update(index_elements=[references.c.speaker_seq], set_=values, where=is_another)
    return connection.execute(written.returning(references.c.speaker_seq)).first() is not None


def remove(connection: Connection, tenant: str, numbers: Iterable[int]) -> int:
    """How many were there."""
    gone = delete(references).where(references.c.tenant == tenant, references.c.speaker_seq == func.any(list(numbers)))
    return connection.execute(gone).rowcount


def fill(connection: Connection, encoder_id: str, batches: Iterable[ReferenceBatch]) -> int:
    """Replaces those of one encoder, whose the batches are; whoever comes twice is there as the last one. How many rows
    were written.

    Changes wait until the transaction ends, and searches find the former ones.
    """
    connection.execute(text("LOCK TABLE speaker_references IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(delete(references).where(references.c.encoder_id == encoder_id))
    driver: Any = connection.connection.driver_connection
    register_vector(driver)
    n_rows, highest = 0, -1
    for batch in batches:
        rows = {row[0]: row for row in _rows(batch)}
        if min(rows, default=highest + 1) <= highest:
            # Not in order, as no store gives them: somebody may come twice.
            connection.execute(delete(references).where(references.c.speaker_seq == func.any(list(rows))))
        with driver.cursor().copy(_COPY) as copy:
            copy.set_types(["int8", "text", "text", "float8", "halfvec"])
            for row in rows.values():
                copy.write_row(row)
        n_rows, highest = n_rows + len(rows), max([highest, *rows])
    return n_rows


_COPY = "COPY speaker_references (speaker_seq, tenant, encoder_id, speech_s, embedding) FROM STDIN (FORMAT BINARY)"


def _rows(batch: ReferenceBatch) -> Iterator[tuple[int, str, str, float, HalfVector]]:
    columns = (batch.numbers.tolist(), batch.tenants, batch.encoder_ids, batch.speech_s.tolist(), batch.embeddings)
    for number, tenant, encoder_id, speech_s, embedding in zip(*columns, strict=True):
        yield number, tenant, encoder_id, speech_s, HalfVector(embedding)
