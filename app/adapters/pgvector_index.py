"""The HNSW index of one encoder's references: made beside searches and enrollments, by one replica for all.

Where there is none yet, everybody is scanned, which finds the same speakers and takes longer.
"""

from __future__ import annotations

import logging
import threading
import time

from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Connection, Index, MetaData, cast, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex, DropIndex

from app.adapters.database import Database
from app.adapters.pgvector_references import references
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
                # Of the session, which ends here: the index would wait for the end of a transaction that had it.
                if connection.execute(select(func.pg_try_advisory_lock(_LOCK))).scalar():
                    self._make_if_missing(connection)
        except StoreError as error:
            _log.error("the index of the references was not made, and everybody is scanned: %s", error)

    def _make_if_missing(self, connection: Connection) -> None:
        index = vector_index(self._encoder_id, self._n_embedding)
        found = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
        is_valid = connection.execute(found, {"name": f'"{index.name}"'}).scalar()
        if is_valid:
            return
        if is_valid is not None:
            connection.execute(DropIndex(index))  # whoever was making it was killed
        began_s = time.monotonic()
        for name in ("statement_timeout", "lock_timeout"):
            connection.execute(select(func.set_config(name, "0", False)))
        connection.execute(_TAKE_MEMORY, {"kb": 1024 * _MEMORY_MB})
        try:
            connection.execute(CreateIndex(index))
        except OperationalError as error:
            # Workers share memory, of which a container may have little; one process needs none.
            _log.warning("the index of the references is made by one process, not by several: %s", error.__cause__)
            connection.execute(DropIndex(index, if_exists=True))
            connection.execute(select(func.set_config("max_parallel_maintenance_workers", "0", False)))
            connection.execute(CreateIndex(index))
        _log.info("made the index of the references in %.0f s", time.monotonic() - began_s)


_TAKE_MEMORY = text(
    "SELECT set_config(name, CAST(CAST(:kb AS bigint) AS text), false) FROM pg_settings "
    "WHERE name = 'maintenance_work_mem' AND CAST(setting AS bigint) < CAST(:kb AS bigint)"
)


def vector_index(encoder_id: str, n_embedding: int) -> Index:
    """Made, and dropped, beside whoever writes."""
    # A table of its own to hang on: the index is not part of what makes the table.
    columns = references.to_metadata(MetaData()).c
    return Index(
        f"ix_speaker_references_{encoder_id}",
        cast(columns.embedding, HALFVEC(n_embedding)).label("vector"),
        postgresql_using="hnsw",
        postgresql_ops={"vector": "halfvec_ip_ops"},
        postgresql_where=columns.encoder_id == encoder_id,
        postgresql_concurrently=True,
    )
