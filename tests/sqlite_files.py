"""SQLite files as tests open them, and as another program would."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from app.adapters.sql_store import SqlSpeakerStore, open_store


def opened(path: Path) -> SqlSpeakerStore:
    return open_store(f"sqlite:///{path}")


def sqlite(path: Path, *statements: str, **pragmas: object) -> list[Any]:
    """Runs statements on the file as another program would; gives the rows of the last one."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name}={value}")
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows
