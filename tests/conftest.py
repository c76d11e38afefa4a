"""`--require-voices`: where real voices are at hand, a test that skips for want of them fails.

A skip is quiet, so a typing error in a path could leave the service's central claims untested for good.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest
from hypothesis import settings
from postgres_server import PostgresServer, postgres_server

from app.adapters.database import open_database
from postgres_files import empty, hurry
from samples import MASTER

settings.register_profile("untimed", deadline=None)  # whether a machine is busy says nothing about the code
settings.load_profile("untimed")

WANT_OF_VOICES = "needs real voices"
"""How the reason of such a skip begins (`signals.data_folder`)."""

AnyReport = TypeVar("AnyReport", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-voices", action="store_true", help="fail, instead of skip, where a test finds no real voices"
    )
    parser.addoption(
        "--database",
        choices=("memory", "postgres"),
        default="memory",
        help="what the services of tests/api stand on, but for those that need a certain store",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _judged(report, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _judged(report, collector.config)


def _judged(report: AnyReport, config: pytest.Config) -> AnyReport:
    # A skip's longrepr is (path, line, reason).
    if report.skipped and isinstance(report.longrepr, tuple) and config.getoption("--require-voices"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith(WANT_OF_VOICES):
            report.outcome = "failed"
            report.longrepr = f"--require-voices: {reason}"
    return report


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server with pgvector, started by the first test that needs it."""
    with postgres_server() as server:
        hurry(server)
        yield server


@pytest.fixture(scope="session")
def _postgres_store(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as url:
        open_database(url, MASTER).close()
        yield url


@pytest.fixture
def postgres_store_url(_postgres_store: str) -> str:
    """Of a database that has the schema and no rows, which takes a fifth of the time that an empty one does. A test that
    changes the schema needs `postgres_url`.
    """
    empty(_postgres_store)
    return _postgres_store


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """Of an empty database."""
    with postgres.database() as url:
        yield url
