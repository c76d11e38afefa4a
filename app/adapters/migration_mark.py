"""How far a migration into a PostgreSQL database has come: a row of `deployment`, so that no service serves half of it."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from app.adapters.postgres_tables import deployment
from app.errors import StoreError

MIGRATION = "migration"
INCOMPLETE = "incomplete"
COMPLETE = "complete"
"""Nobody has worked on it since."""
IN_USE = "in use"
"""What it holds is no copy any more."""


def read_mark(connection: Connection) -> str | None:
    """None where no migration was begun. Nobody changes it until the transaction ends."""
    query = select(deployment.c.value).where(deployment.c.name == MIGRATION).with_for_update()
    return connection.execute(query).scalar()


def set_mark(connection: Connection, value: str) -> None:
    if not connection.execute(update(deployment).where(deployment.c.name == MIGRATION).values(value=value)).rowcount:
        connection.execute(insert(deployment).values(name=MIGRATION, value=value))


def begin_work(connection: Connection) -> None:
    """For whoever is to read and write the database. Raises StoreError while it is incomplete."""
    mark = read_mark(connection)
    if mark == INCOMPLETE:
        raise StoreError(
            "The database is not complete: `vouch migrate` was begun and has not ended. Stop the service that it was copied "
            "from, run `vouch migrate` once more, and start when it says that the copy is complete."
        )
    if mark == COMPLETE:
        set_mark(connection, IN_USE)
