"""Which gallery all replicas on one PostgreSQL use: a row that they agree on, and that every write of a reference looks at.

So no replica that still runs with the former setting enrols anybody whom the others would not find.
"""

from __future__ import annotations

import logging
from typing import Literal

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from app.adapters.postgres_tables import deployment
from app.errors import StoreError

_log = logging.getLogger("vouch")

GalleryKind = Literal["pgvector", "faiss"]

_NAME = "gallery"
_TO_BE_FILLED = "pgvector, to be filled"


def choose_gallery(connection: Connection, wanted: GalleryKind) -> GalleryKind | None:
    """Writes it down, under the migration lock. What it was before; None where there was none."""
    before = _kind(_read(connection))
    if before != wanted:
        _write(connection, _TO_BE_FILLED if wanted == "pgvector" else wanted)
        if before is not None:
            _log.warning(
                "VOUCH_GALLERY is %s now, and was %s: replicas that still run with the former one can enrol nobody until "
                "they are started anew with this one",
                wanted,
                before,
            )
    return before


def require_gallery(connection: Connection, wanted: GalleryKind) -> None:
    """Until the transaction ends nobody chooses another. Raises StoreError where that was done before."""
    chosen = _kind(connection.execute(_VALUE.with_for_update(read=True)).scalar())
    if chosen != wanted:
        raise StoreError(
            f"This replica searches with {wanted}, and the others with {chosen}: VOUCH_GALLERY was changed. Start this "
            "one anew with the same setting as the others."
        )


def is_filled(connection: Connection) -> bool:
    """Whether the references in PostgreSQL are all there."""
    return _read(connection) == "pgvector"


def note_filled(connection: Connection) -> bool:
    """That they are, once this transaction is committed; until then nobody else says so, and nothing is enrolled. Whether
    they were before.
    """
    was_filled = connection.execute(_VALUE.with_for_update()).scalar() == "pgvector"
    _write(connection, "pgvector")
    return was_filled


_VALUE = select(deployment.c.value).where(deployment.c.name == _NAME)


def _read(connection: Connection) -> str | None:
    value: str | None = connection.execute(_VALUE).scalar()
    return value


def _kind(value: str | None) -> GalleryKind | None:
    if value is None:
        return None
    return "faiss" if value == "faiss" else "pgvector"


def _write(connection: Connection, value: str) -> None:
    connection.execute(
        insert(deployment)
        .values(name=_NAME, value=value)
        .on_conflict_do_update(index_elements=[deployment.c.name], set_={"value": value})
    )
