"""What a database holds, told without any of the service's code: so that two can be held against each other, of either kind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url

TABLES = {
    "speakers": ("seq",),
    "enrollments": ("seq",),
    "fingerprints": ("seq",),
    "api_keys": ("seq",),
    "idempotency": ("tenant", "key"),
    "secrets": ("name",),
    "erasures": ("mark",),
}
"""Each with its key."""
_JSON = {"metadata", "consent", "enrollment_ids", "scopes"}
_N_ROWS_AT_ONCE = 1000

Row = dict[str, Any]


def in_file(path: Path, table: str) -> Iterator[Row]:
    """By key, of a SQLite file that nobody writes to."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        for row in connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(TABLES[table])}"):  # nosec B608 # our own tables
            yield _plain(dict(row))


def on_server(database_url: str, table: str) -> Iterator[Row]:
    """By key. `database_url` as VOUCH_DATABASE_URL has it."""
    keys = ", ".join(key if key == "seq" else f'{key} COLLATE "C"' for key in TABLES[table])
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with (
        psycopg.connect(url, options="-c timezone=UTC") as connection,
        connection.cursor("rows", row_factory=psycopg.rows.dict_row) as cursor,
    ):
        cursor.itersize = _N_ROWS_AT_ONCE
        cursor.execute(f"SELECT * FROM {table} ORDER BY {keys}")  # nosec B608 # our own tables
        for row in cursor:
            yield _plain(row)


def n_differing(path: Path, database_url: str) -> tuple[int, int]:
    """How many rows there are of all tables, on either side, and how many of them are not the same on the other."""
    n_rows, n_different = 0, 0
    for table in TABLES:
        for one, other in zip_longest(in_file(path, table), on_server(database_url, table)):
            n_rows += 1
            n_different += one != other
    return n_rows, n_different


def _plain(row: Row) -> Row:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if name in _JSON and value is not None:
        return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)
    if name.endswith(("_at", "_until")) and isinstance(value, str):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value
