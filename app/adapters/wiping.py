"""An erasure is done when no copy of what it deleted is in the SQLite file.

`secure_delete` overwrites a row where it lies, but not the copies that SQLite leaves in the gaps of pages as it moves rows
about (seen once in about four thousand erasures). So after the transaction the file is searched for the bytes of what was
deleted, and rewritten by VACUUM where they are found. Both take time in proportion to the file, but only the latter makes
others wait.

That it is owed is in the file, as `user_version`, from the deleting transaction until it is done. Where the process dies
in between, what to look for is lost with it, and the next start rewrites the file.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine

from app.adapters.database_errors import named_errors
from app.adapters.engine import without_transactions
from app.adapters.readers_writer_lock import ReadersWriterLock
from app.adapters.stray_search import StraySearch
from app.adapters.traces import Needles, Traces
from app.errors import StoreError
from app.stages import stage

_log = logging.getLogger(__name__)

MOST_SECRETS_BYTES = 8 * 1024 * 1024
"""Of the secrets that are looked for at once, some thousand clips; for more the file is rewritten."""


class Wiper:
    """For one SQLite database, whose threads write in turn."""

    def __init__(self, engine: Engine, turns: ReadersWriterLock) -> None:
        assert engine.url.database is not None
        self._engine = engine
        self._turns = turns
        self._search = StraySearch(Path(engine.url.database))
        self._one_at_a_time = threading.Lock()
        # Changed by whoever has the turn to write, so that no debt is cleared while another is being made.
        self._owed: set[Traces] = set()

    @contextmanager
    def noted(self, transaction: AbstractContextManager[Connection]) -> Iterator[Connection]:
        """The same transaction, of whoever has the turn to write; a search under way learns what it changes."""
        try:
            with transaction as connection:
                try:
                    yield connection
                finally:
                    self._search.note()
        except BaseException:
            self._search.note_taken_back()
            raise

    def owe(self, connection: Connection, traces: Traces) -> None:
        """In the transaction that deletes what left these traces: owed from then on, even if the process dies."""
        connection.exec_driver_sql("PRAGMA user_version=1")
        self._owed.add(traces)

    def forgive(self, traces: Traces) -> None:
        """The transaction was taken back."""
        self._owed.discard(traces)

    def wipe(self, traces: Traces) -> None:
        """Returns once these are in the file no more, or once it is logged why that is not known.

        Those that come while somebody searches are looked for together, afterwards.
        """
        try:
            with stage("store"), named_errors("The database file cannot be rewritten"), self._one_at_a_time:
                if traces in self._owed:
                    self._search_and_settle()
        except (StoreError, OSError, ValueError) as error:
            _log_owed(error)

    def rewrite_if_owed(self) -> None:
        """Without a search."""
        try:
            with (
                stage("store"),
                named_errors("The database file cannot be rewritten"),
                self._one_at_a_time,
                self._turns.writing(),
                without_transactions(self._engine).connect() as connection,
            ):
                if connection.exec_driver_sql("PRAGMA user_version").scalar():
                    self._rewrite(connection)
        except StoreError as error:
            _log_owed(error)

    def close(self) -> None:
        """After the engine."""
        self._search.close()

    def _search_and_settle(self) -> None:
        with self._turns.writing():  # nobody is within a transaction
            owed = frozenset(self._owed)
            self._search.begin()
        try:
            needles = Needles(owed)
            is_to_rewrite = not _can_be_looked_for(owed) or self._search.finds(needles)
            with self._turns.writing(), without_transactions(self._engine).connect() as connection:
                if is_to_rewrite or self._search.finds_in_changed(needles):
                    self._rewrite(connection)
                    return
                self._owed -= owed
                if not self._owed:
                    connection.exec_driver_sql("PRAGMA user_version=0")
        finally:
            self._search.end()

    def _rewrite(self, connection: Connection) -> None:
        connection.exec_driver_sql("VACUUM")
        connection.exec_driver_sql("PRAGMA user_version=0")
        self._owed.clear()


def _can_be_looked_for(owed: Collection[Traces]) -> bool:
    n_bytes = sum(len(secret) for traces in owed for secret in traces.secrets)
    return n_bytes <= MOST_SECRETS_BYTES and all(traces.are_known for traces in owed)


def _log_owed(error: Exception) -> None:
    # The rows are deleted and overwritten where they lay: no reason to fail, or not to start.
    _log.error(
        "%s What was erased may have left copies in the database file; this is tried again at the next erasure or start.",
        str(error).rstrip(".") + ".",
    )
