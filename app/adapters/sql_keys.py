"""KeyStore on a SQL database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from app.access import SCOPES, ApiKey
from app.adapters.database import Database
from app.adapters.tables import api_keys
from app.errors import KeyNotFound


class SqlKeyStore:
    """Fulfils `app.ports.KeyStore`, where the contract is written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_shared(self) -> bool:
        return not self._database.is_file

    def load(self) -> tuple[ApiKey, ...]:
        with self._database.reading() as connection:
            return tuple(_to_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.seq)))

    def find(self, key_id: str) -> ApiKey | None:
        with self._database.reading() as connection:
            row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).one_or_none()
        return None if row is None else _to_key(row)

    def add(self, key: ApiKey, ended: ApiKey | None = None) -> None:
        def work(connection: Connection) -> None:
            if ended is not None:
                _require_not_revoked(connection, ended.key_id)
            connection.execute(
                insert(api_keys).values(
                    key_id=key.key_id,
                    name=key.name,
                    tenant=key.tenant,
                    scopes=[scope for scope in SCOPES if scope in key.scopes],
                    digest=key.digest,
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                    revoked_at=key.revoked_at,
                    last_used_at=key.last_used_at,
                )
            )
            if ended is not None:
                _end(connection, ended)

        self._database.write(work)

    def end(self, key: ApiKey) -> None:
        self._database.write(lambda connection: _end(connection, key))

    def note_uses(self, used: Mapping[str, datetime]) -> None:
        def work(connection: Connection) -> None:
            # In one order, in which two processes do not wait for each other.
            for key_id, used_at in sorted(used.items()):
                is_news = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < used_at)
                connection.execute(
                    update(api_keys).where(api_keys.c.key_id == key_id, is_news).values(last_used_at=used_at)
                )

        self._database.write(work)


def _require_not_revoked(connection: Connection, key_id: str) -> None:
    """Nor does another process revoke it before the transaction ends."""
    query = select(api_keys.c.revoked_at).where(api_keys.c.key_id == key_id).with_for_update()
    if connection.execute(query).scalar() is not None:
        raise KeyNotFound(f"The key {key_id!r} was revoked meanwhile, so there is nothing to rotate. Make a new one.")


def _end(connection: Connection, key: ApiKey) -> None:
    connection.execute(
        update(api_keys)
        .where(api_keys.c.key_id == key.key_id)
        .values(expires_at=key.expires_at, revoked_at=func.coalesce(api_keys.c.revoked_at, key.revoked_at))
    )


def _to_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key_id=row.key_id,
        name=row.name,
        tenant=row.tenant,
        # A scope that a newer release knew means nothing here.
        scopes=frozenset(scope for scope in SCOPES if scope in row.scopes),
        digest=row.digest,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
