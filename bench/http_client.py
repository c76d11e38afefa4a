"""HTTP/1.1 as a load generator needs it: prebuilt requests, one at a time on a connection, and the least of parsing.

It shares the cores with what it measures, so that whatever a client library does for its users would be taken from the
server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from running import HOST

BOUNDARY = "a-line-of-no-clip"
FORM = f"multipart/form-data; boundary={BOUNDARY}"
_END_OF_HEAD = b"\r\n\r\n"
_BODILESS = (204, 304)


@dataclass(frozen=True)
class Answer:
    status: int
    head: bytes
    """Status line and headers, without the empty line."""
    body: bytes

    def header(self, name: str) -> str | None:
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.strip().lower() == name.lower().encode():
                return value.strip().decode("latin-1")
        return None


class AnswerParser:
    """The bytes of one answer after another, cut wherever the network cuts them."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._head = b""
        self._n_body = 0

    def feed(self, data: bytes) -> Answer | None:
        """The answer that ends with `data`, if one does. Raises ValueError for a body whose length is not told."""
        self._data += data
        if not self._head:
            end = self._data.find(_END_OF_HEAD)
            if end < 0:
                return None
            self._head = bytes(self._data[:end])
            del self._data[: end + len(_END_OF_HEAD)]
            self._n_body = self._length()
        if len(self._data) < self._n_body:
            return None
        answer = Answer(self._status(), self._head, bytes(self._data[: self._n_body]))
        del self._data[: self._n_body]
        self._head = b""
        return answer

    def _status(self) -> int:
        return int(self._head.split(b" ", 2)[1])

    def _length(self) -> int:
        told = Answer(0, self._head, b"").header("content-length")
        if told is None and self._status() not in _BODILESS:
            raise ValueError(f"an answer does not tell its length: {self._head[:200]!r}")
        return int(told or 0)


class Connection(asyncio.Protocol):
    """One kept-alive connection. `open_connection` makes them."""

    def __init__(self) -> None:
        self.is_open = False
        self.n_asked = 0
        self._parser = AnswerParser()
        self._transport: asyncio.Transport | None = None
        self._awaited: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Raises ConnectionError where the server leaves instead of answering."""
        assert self._transport is not None
        assert self._awaited is None, "one request at a time"
        self.n_asked += 1
        self._awaited = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            answer = await self._awaited
        finally:
            self._awaited = None
        if (answer.header("connection") or "").lower() == "close":
            self.close()
        return answer

    def write(self, part: bytes) -> None:
        """For callers who leave half-way."""
        assert self._transport is not None
        self._transport.write(part)

    def close(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its base class.
        self._transport, self.is_open = cast(asyncio.Transport, transport), True

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._parser.feed(data)
        except ValueError as error:
            self.close()
            self.connection_lost(error)
            return
        if answer is not None and self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(ConnectionResetError(f"the server left: {exc}"))


async def open_connection(port: int) -> Connection:
    return (await asyncio.get_running_loop().create_connection(Connection, HOST, port))[1]


def request(
    method: str,
    path: str,
    body: bytes = b"",
    content_type: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """The bytes of a request, whole."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    if content_type is not None:
        head += f"Content-Type: {content_type}\r\n"
    if body or method not in ("GET", "DELETE"):
        head += f"Content-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def upload(
    path: str,
    files: Iterable[tuple[str, bytes]],
    texts: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A POST of a form: files by the names of their fields, which may repeat, and texts."""
    return request("POST", path, form(files, texts), FORM, headers)


def form(files: Iterable[tuple[str, bytes]], texts: Mapping[str, str] | None = None) -> bytes:
    parts = []
    for name, data in files:
        said = (
            f'Content-Disposition: form-data; name="{name}"; filename="clip"\r\nContent-Type: application/octet-stream'
        )
        parts.append(f"--{BOUNDARY}\r\n{said}\r\n\r\n".encode() + data)
    for name, text in (texts or {}).items():
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode())
    return b"\r\n".join([*parts, f"--{BOUNDARY}--\r\n".encode()])
