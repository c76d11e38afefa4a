"""The stores that a service of the tests stands on: in memory, or on PostgreSQL where `--database postgres` asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Protocol

from postgres_server import PostgresServer

from app.adapters.database import Database, open_database
from app.adapters.postgres import PostgresLimits
from app.adapters.sealing import Sealer
from app.adapters.sql_keys import SqlKeyStore
from app.adapters.sql_store import SqlSpeakerStore
from app.ports import KeyStore, SpeakerStore
from fakes import FakeKeyStore, FakeSpeakerStore
from postgres_files import EMPTY
from samples import MASTER, TickingClock

LIMITS = PostgresLimits(n_connections=8)


class Stores(Protocol):
    """Makes stores that have nothing in them and nothing in common."""

    def speakers(self) -> SpeakerStore: ...

    def keys(self) -> KeyStore: ...


class FakeStores:
    def speakers(self) -> SpeakerStore:
        return FakeSpeakerStore()

    def keys(self) -> KeyStore:
        return FakeKeyStore()


class PostgresStores:
    """Each on a database of its own, which the next test has again."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._kept = ExitStack()
        self._free: list[Database] = []
        self._taken: list[Database] = []

    def speakers(self) -> SpeakerStore:
        return SqlSpeakerStore(self._opened(), Sealer(MASTER), clock=TickingClock())

    def keys(self) -> KeyStore:
        return SqlKeyStore(self._opened())

    def take_back(self) -> None:
        """What was made, at the end of a test."""
        for database in self._taken:
            with database.writing() as connection:
                connection.execute(EMPTY)
            database.close()  # which opens again when it is needed, and knows its statements still
        self._free += self._taken
        self._taken = []

    def close(self) -> None:
        self._kept.close()

    def _opened(self) -> Database:
        if not self._free:
            url = self._kept.enter_context(self._server.database())
            self._free.append(open_database(url, MASTER, LIMITS))
        self._taken.append(self._free.pop())
        return self._taken[-1]


_IN_MEMORY = FakeStores()
_current: ContextVar[Stores | None] = ContextVar("stores", default=None)


def stores() -> Stores:
    """Those of the test that runs."""
    return _current.get() or _IN_MEMORY


@contextmanager
def standing_on(chosen: Stores) -> Iterator[None]:
    token = _current.set(chosen)
    try:
        yield
    finally:
        _current.reset(token)
