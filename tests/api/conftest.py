from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from postgres_server import PostgresServer

import fake_audio
from api_client import DocumentedClient, serving
from app.components import Components
from app.main import create_app
from service_stores import PostgresStores, standing_on


@pytest.fixture(scope="session")
def postgres_stores(postgres: PostgresServer) -> Iterator[PostgresStores]:
    made = PostgresStores(postgres)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _stores(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.config.getoption("--database") == "memory":
        yield
        return
    made: PostgresStores = request.getfixturevalue("postgres_stores")
    with standing_on(made):
        yield
    made.take_back()


@pytest.fixture
def client() -> Iterator[DocumentedClient]:
    """A fresh service with the default settings."""
    with serving() as client:
        yield client


@pytest.fixture
def served() -> Iterator[tuple[str, Components]]:
    """The address of a fresh service that listens, for commands, and its parts."""
    parts = fake_audio.components()
    server = uvicorn.Server(uvicorn.Config(create_app(fake_audio.settings(), parts), port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)  # the server tells nobody that it has started
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}", parts
    server.should_exit = True
    thread.join()
