"""Both clients of `vouch_client` under one blocking face, so that each test runs with each. And what they talk to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio.to_thread
import httpx2

from api_client import BASE_URL, DocumentedClient
from vouch_client import AsyncVouch, Vouch

Kind = type[Vouch] | type[AsyncVouch]
KINDS: tuple[Kind, ...] = (Vouch, AsyncVouch)


class Awaited:
    """An AsyncVouch whose calls are waited for, its iterators to their end."""

    def __init__(self, vouch: AsyncVouch) -> None:
        self._vouch = vouch

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def work() -> Any:
                found = getattr(self._vouch, name)(*args, **kwargs)
                return [item async for item in found] if hasattr(found, "__aiter__") else await found

            return asyncio.run(work())

        return call

    def __repr__(self) -> str:
        return repr(self._vouch)


def connect(kind: Kind, transport: Any, waits: list[float], **options: Any) -> Any:
    """A client whose waits are noted, not waited for."""
    url = options.pop("url", BASE_URL)
    if kind is Vouch:
        return Vouch(url, transport=transport, sleep=waits.append, **options)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Awaited(AsyncVouch(url, transport=transport, sleep=sleep, **options))


class Script:
    """Answers by turns; an exception is a failure of the network. Notes what it was asked."""

    def __init__(self, *steps: httpx2.Response | Exception) -> None:
        self._steps = list(steps)
        self.requests: list[httpx2.Request] = []
        self.waits: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def client(self, kind: Kind, **options: Any) -> Any:
        return connect(kind, httpx2.MockTransport(self), self.waits, **options)


class InProcess(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """A service of this process. Every answer is held to the OpenAPI document on its way."""

    def __init__(self, client: DocumentedClient) -> None:
        self._client = client
        self.n_to_lose = 0
        """How many answers are still to be lost on their way, after the service has done its part."""
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        content = request.read()
        answer = self._client.request(request.method, str(request.url), content=content, headers=request.headers)
        if self.n_to_lose:
            self.n_to_lose -= 1
            raise httpx2.ReadError("the answer was lost")
        return httpx2.Response(answer.status_code, headers=answer.headers, content=answer.content)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await request.aread()
        return await anyio.to_thread.run_sync(self.handle_request, request)
