"""The HNSW index of one encoder's references: made beside searches and enrollments, by one replica for all.

Where there is none yet, everybody is scanned, which finds the same speakers and takes longer.
"""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import OperationalError

from app.adapters.database import Database
from app.errors import StoreError

_log = logging.getLogger("vouch")

_LOCK = 0x766F75636902
"""Key of the advisory lock of whoever makes one."""
_MEMORY_MB = 1024
"""Once the graph outgrows it, each further speaker takes many times as long."""


class IndexMaker:
    """On a thread of its own, since it may take an hour."""

    def __init__(self, database: Database, encoder_id: str, n_embedding: int) -> None:
        self._database, self._encoder_id, self._n_embedding = database, encoder_id, n_embedding
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Makes the index unless it is there. Only the first call does anything."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="make the index", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until it is there, or another replica is making it. For tests and benchmarks."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with self._database.without_transaction() as connection:
                if connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar():
                    self._make_if_missing(connection)
        except StoreError as error:
            _log.error("the index of the references was not made, and everybody is scanned: %s", error)

    def _make_if_missing(self, connection: Connection) -> None:
        name = f"ix_speaker_references_{self._encoder_id}"
        found = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
        is_valid = connection.execute(found, {"name": f'"{name}"'}).scalar()
        if is_valid:
            return
        if is_valid is not None:
            # Whoever was making it was killed.
            connection.execute(text(f'DROP INDEX "{name}"'))
        began_s = time.monotonic()
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = 0"))
        connection.execute(
            text(
                "SELECT set_config('maintenance_work_mem', :kb, false) FROM pg_settings "
                "WHERE name = 'maintenance_work_mem' AND setting::bigint < :kb ::bigint"
            ),
            {"kb": str(1024 * _MEMORY_MB)},
        )
        make = text(
            f'CREATE INDEX CONCURRENTLY "{name}" ON speaker_references '
            f"USING hnsw ((embedding::halfvec({self._n_embedding})) halfvec_ip_ops) WHERE encoder_id = '{self._encoder_id}'"
        )
        try:
            connection.execute(make)
        except OperationalError as error:
            # Workers share memory that a container may have little of; one process needs none.
            _log.warning("the index of the references is made by one process: %s", error.__cause__)
            connection.execute(text(f'DROP INDEX IF EXISTS "{name}"'))
            connection.execute(text("SET max_parallel_maintenance_workers = 0"))
            connection.execute(make)
        _log.info("made the index of the references in %.0f s", time.monotonic() - began_s)
