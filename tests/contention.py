"""Calls that meet: all at once, or each in line behind the ones before, on a PostgreSQL server that tells who waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from sqlalchemy import Connection, NullPool, create_engine, text

PATIENCE_S = 20.0
N_WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


def outcome(call: Callable[[], object]) -> object:
    """What it returned or raised."""
    try:
        return call()
    except Exception as error:  # whatever it is, it is what the test looks at
        return error


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each call returned or raised, all started together."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        start.wait(timeout=10)
        return outcome(call)

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def in_line(url: str, lock: str, *calls: Callable[[], object]) -> list[object]:
    """What each call returned or raised. Each begins when the ones before wait for what this statement locks; where one alone
    can have that, they go on in this order.
    """
    with ThreadPoolExecutor(len(calls)) as pool:
        with locked(url, lock) as connection:
            results = []
            for n, call in enumerate(calls, start=1):
                results.append(pool.submit(outcome, call))
                await_waiting(connection, n)
        return [result.result() for result in results]


@contextmanager
def locked(url: str, statement: str) -> Iterator[Connection]:
    """A connection of another's, which has something locked until the end of the block."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
        yield connection
        connection.rollback()


def await_waiting(connection: Connection, n_waiting: int) -> None:
    """Until so many wait for a lock on the connection's server."""
    deadline_s = time.monotonic() + PATIENCE_S
    while connection.execute(N_WAITING).scalar_one() < n_waiting:
        assert time.monotonic() < deadline_s, f"never {n_waiting} at once waited for a lock"
