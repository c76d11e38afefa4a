"""SQLite files as tests open them, and as another program would."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore, open_store
from samples import MASTER

_SEALER = Sealer(MASTER)


def _sealed(plain: bytes, tenant: str, speaker_id: str, data_key: bytes, encoder_id: str) -> bytes:
    return _SEALER.of(tenant, speaker_id, data_key).seal_bytes(plain, encoder_id)


def resealed(path: Path, plain: bytes, where: str) -> None:
    """Puts these bytes into enrollments, whatever they mean, as their speakers' keys seal them."""
    of_speaker = "FROM speakers s WHERE s.tenant = e.tenant AND s.speaker_id = e.speaker_id"
    sealed = f"SELECT sealed(x'{plain.hex()}', s.tenant, s.speaker_id, s.data_key, e.encoder_id) {of_speaker}"
    sqlite(path, f"UPDATE enrollments AS e SET embedding = ({sealed}) WHERE {where}")


def opened(path: Path) -> SqlSpeakerStore:
    return open_store(f"sqlite:///{path}", MASTER)


def sqlite(path: Path, *statements: str, **pragmas: object) -> list[Any]:
    """Runs statements on the file as another program would; gives the rows of the last one.

    They may call new_key(tenant, speaker_id) and sealed(plain, tenant, speaker_id, data_key, encoder_id).
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("new_key", 2, _SEALER.new_key)
        connection.create_function("sealed", 5, _sealed)
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name}={value}")
        rows: list[Any] = []
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        return rows


def plant(path: Path, stray: bytes) -> None:
    """Leaves a copy of these bytes in the gap of a page, as SQLite does when it moves rows. Nobody may have the file open."""
    data = bytearray(path.read_bytes())
    page_bytes = int.from_bytes(data[16:18], "big")
    for start in range(page_bytes, len(data), page_bytes):
        kind, n_cells, content = struct.unpack_from(">BxxHH", data, start)
        gap = start + 8 + 2 * n_cells
        if kind in (10, 13) and start + content - gap >= len(stray) and not any(data[gap : start + content]):
            data[gap : gap + len(stray)] = stray
            path.write_bytes(data)
            return
    raise AssertionError("no page has so large a gap")
