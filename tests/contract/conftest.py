"""Every SpeakerStore and every Gallery there is, empty; and where a database may lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from app.adapters.database import Database
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.sql_store import open_store
from app.ports import Gallery, SpeakerStore
from fakes import FakeGallery, FakeSpeakerStore
from galleries import inverted, planted, postgres_database
from samples import ENCODER_ID, MASTER, N_EMBEDDING, TickingClock


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SpeakerStore]:
    opened: SpeakerStore
    if request.param == "memory":
        opened = FakeSpeakerStore(TickingClock())
    else:
        url = f"sqlite:///{tmp_path}/vouch.db"
        if request.param == "postgres":
            url = request.getfixturevalue("postgres_store_url")
        opened = open_store(url, MASTER, clock=TickingClock())
    yield opened
    opened.close()


GALLERIES: dict[str, Callable[[], Gallery]] = {
    "faiss": lambda: FaissGallery(ENCODER_ID, N_EMBEDDING),
    "faiss, inverted": lambda: inverted(N_EMBEDDING),
    "exact scan": lambda: FakeGallery(ENCODER_ID, N_EMBEDDING),
}
PGVECTOR = {"pgvector": 10_000, "pgvector, indexed": 0}
"""Up to how many speakers everybody is scanned."""


@pytest.fixture(params=[*GALLERIES, *PGVECTOR])
def gallery(request: pytest.FixtureRequest) -> Iterator[Gallery]:
    if request.param in GALLERIES:
        opened = GALLERIES[request.param]()
    else:
        opened = planted(request.getfixturevalue("gallery_database"), PGVECTOR[request.param])
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def gallery_database(postgres: PostgresServer) -> Iterator[Database]:
    """One for all, since making one takes as long as a test."""
    with postgres.database() as url, postgres_database(url) as database:
        yield database


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a database in which there is nobody yet."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_store_url"))
    return f"sqlite:///{tmp_path}/vouch.db"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a database file that is not there yet, nor is its folder."""
    return tmp_path / "data" / "vouch.db"
