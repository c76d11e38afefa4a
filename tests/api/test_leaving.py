"""Callers who leave while their call waits: nobody computes for them, and their place is another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fake_audio
from api_client import DocumentedClient, audio, pair, post_scope, serving
from app.adapters.work_queue import ThreadWorkQueue
from app.errors import Overloaded
from fake_audio import BlockingEmbedder, FakeDecoder, clip

BOUNDARY = "b0undary"
N_WAITING = 5


class Caller:
    """Sends a whole form over ASGI, waits for the answer, and leaves when told to."""

    def __init__(self, client: DocumentedClient, path: str, *names: str) -> None:
        head = 'Content-Disposition: form-data; name="{}"; filename="x.wav"'
        parts = [f"--{BOUNDARY}\r\n{head.format(name)}\r\n\r\n".encode() + clip() + b"\r\n" for name in names]
        self._body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
        self._client = client
        self._path = path
        self._has_sent = False
        self.leaves = asyncio.Event()
        self.answer: list[Any] = []

    async def call(self) -> None:
        scope = post_scope(self._path, f"multipart/form-data; boundary={BOUNDARY}")
        await self._client.app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if not self._has_sent:
            self._has_sent = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.answer.append(message)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0)


def is_full(work: ThreadWorkQueue) -> bool:
    try:
        work.require_room()
    except Overloaded:
        return True
    return False


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/compare", ("audio_a", "audio_b")),
        ("/v1/identify", ("audio",)),
        ("/v1/embeddings", ("audio",)),
        ("/v1/speakers/alice/verify", ("audio",)),
        ("/v1/speakers/alice/enrollments", ("audio",)),
    ],
)
def test_whoever_leaves_while_waiting_is_not_served(
    path: str, names: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    embedder, decoder, work = BlockingEmbedder(), FakeDecoder(), ThreadWorkQueue(1, N_WAITING)
    parts = fake_audio.components(embedder=embedder, decoder=decoder, work=work)
    with serving(parts, embeddings_enabled=True) as client, ThreadPoolExecutor(1) as threads:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        first = threads.submit(client.post, "/v1/compare", files=pair(clip(), clip()))
        assert embedder.has_begun.wait(timeout=20)

        async def leave() -> list[Caller]:
            callers = [Caller(client, path, *names) for _ in range(N_WAITING)]
            calls = [asyncio.create_task(caller.call()) for caller in callers]
            await until(lambda: is_full(work))
            for caller in callers:
                caller.leaves.set()
            async with asyncio.timeout(20):
                await asyncio.gather(*calls)
            return callers

        try:
            callers = asyncio.run(leave())
            assert [caller.answer for caller in callers] == [[]] * N_WAITING
            assert not is_full(work), "the places are free before the worker is"
        finally:
            embedder.go_on.set()
        assert first.result().status_code == 200
        assert client.post("/v1/compare", files=pair(clip(), clip())).status_code == 200
    assert decoder.n_decoded == 4, "two clips of the first call and two of the last"
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_whoever_leaves_after_the_work_began_is_let_go_when_it_ends() -> None:
    embedder, work = BlockingEmbedder(), ThreadWorkQueue(1, 0)
    with serving(fake_audio.components(embedder=embedder, work=work), upload_memory_mb=50) as client:

        async def leave() -> Caller:
            caller = Caller(client, "/v1/compare", "audio_a", "audio_b")
            call = asyncio.create_task(caller.call())
            await asyncio.to_thread(embedder.has_begun.wait, 20)
            caller.leaves.set()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not call.done(), "the upload is in memory as long as the work is, and stays counted"
            assert is_full(work)
            embedder.go_on.set()
            async with asyncio.timeout(20):
                await call
            return caller

        try:
            asyncio.run(leave())
        finally:
            embedder.go_on.set()
        assert not is_full(work)
        assert client.post("/v1/identify", files=audio(clip())).status_code == 200
