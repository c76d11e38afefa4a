"""PostgreSQL databases as tests look into them: as another program would."""

from __future__ import annotations

from typing import Any

from postgres_server import PostgresServer
from sqlalchemy import NullPool, create_engine, text

from app.adapters.postgres_tables import POSTGRES_METADATA
from app.adapters.tables import METADATA

_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_TABLES = [table.name for schema in (METADATA, POSTGRES_METADATA) for table in schema.sorted_tables]
EMPTY = text(f"TRUNCATE {', '.join(_TABLES)} RESTART IDENTITY")


def executed(url: str, *statements: str) -> list[Any]:
    """Runs statements, each in a transaction of its own; gives the rows of the last one."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    rows: list[Any] = []
    with engine.connect() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
    return rows


def hurry(server: PostgresServer) -> None:
    """What a power cut would take is no test's question, and a new database costs a third without it."""
    server.execute("ALTER SYSTEM SET fsync = off")
    server.execute("SELECT pg_reload_conf()")


def empty(url: str) -> None:
    """Whoever still uses the database is thrown out."""
    cut_connections(url)
    executed(url, EMPTY.text)


def cut_connections(url: str) -> int:
    """As a server does that fails over. How many there were."""
    ((n_cut,),) = executed(url, f"SELECT count(pg_terminate_backend(pid)) {_OTHERS}")
    return int(n_cut)
