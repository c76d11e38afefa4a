"""A wire to a PostgreSQL server that is cut when a commit has gone to it and the answer has not come back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import URL, make_url

PORT = 5432
LONGEST_BYTES = 65536


@dataclass
class Wire:
    url: str
    """By which the database is reached over it."""
    loses_commits: bool = False
    """Whether the answer to the next commit is lost, and the connection with it."""


@contextmanager
def wire_to(database_url: str) -> Iterator[Wire]:
    """To a server on a Unix socket, which the URL names as its `host`."""
    url = make_url(database_url)
    socket_path = f"{url.query['host']}/.s.PGSQL.{PORT}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(
            URL.create(
                url.drivername, url.username, host="127.0.0.1", port=listener.getsockname()[1], database=url.database
            ).render_as_string()
        )
        threading.Thread(target=_accept, args=(listener, socket_path, wire), daemon=True).start()
        yield wire


def _accept(listener: socket.socket, socket_path: str, wire: Wire) -> None:
    with suppress(OSError):  # the end of the test closes it
        while True:
            near, _ = listener.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(socket_path)
            threading.Thread(target=_carry_there, args=(near, far, wire), daemon=True).start()
            threading.Thread(target=_carry_back, args=(far, near), daemon=True).start()


def _carry_there(near: socket.socket, far: socket.socket, wire: Wire) -> None:
    with suppress(OSError), near, far:
        while data := near.recv(LONGEST_BYTES):
            if wire.loses_commits and b"COMMIT\0" in data:
                wire.loses_commits = False
                near.shutdown(socket.SHUT_RDWR)
                far.sendall(data)
                far.recv(LONGEST_BYTES)  # it is committed
                return
            far.sendall(data)


def _carry_back(far: socket.socket, near: socket.socket) -> None:
    with suppress(OSError):
        while data := far.recv(LONGEST_BYTES):
            near.sendall(data)
