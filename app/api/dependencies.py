"""What routes ask for, as aliases that read like a sentence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.access import Caller
from app.api.draining import Drain
from app.api.error_handlers import request_id_of
from app.api.forms import Form, FormShape
from app.api.guard import STATE_CALLER
from app.api.metrics import Metrics
from app.api.requests import SpeakerId
from app.api.service import Service
from app.api.uploads import read_form
from app.errors import ModelNotReady
from app.ports import CallerLeft
from app.records import Idempotency


async def _service(request: Request) -> Service:
    service = getattr(request.app.state, "service", None)
    if not isinstance(service, Service):
        raise ModelNotReady("The service is starting: its encoder or its gallery is not ready yet.")
    return service


async def _metrics(request: Request) -> Metrics:
    metrics = request.app.state.metrics
    assert isinstance(metrics, Metrics), "create_app makes them with the app"
    return metrics


async def _drain(request: Request) -> Drain:
    drain = request.app.state.drain
    assert isinstance(drain, Drain), "create_app makes it with the app"
    return drain


async def _caller(request: Request) -> Caller:
    """As the guard found it; nobody gets here past the guard."""
    caller = request.scope["state"][STATE_CALLER]
    assert isinstance(caller, Caller), "the guard notes who calls"
    return caller


async def _tenant(request: Request) -> str:
    """Whose speakers a call sees: the key's, or the one there is where there are no keys."""
    return (await _caller(request)).tenant


async def _request_id(request: Request) -> str:
    return request_id_of(request)


T = TypeVar("T")

TheService = Annotated[Service, Depends(_service)]
TheMetrics = Annotated[Metrics, Depends(_metrics)]
TheDrain = Annotated[Drain, Depends(_drain)]
TheCaller = Annotated[Caller, Depends(_caller)]
Tenant = Annotated[str, Depends(_tenant)]
RequestId = Annotated[str, Depends(_request_id)]
SpeakerIdInPath = Annotated[SpeakerId, Path(description="The speaker.")]
EnrollmentIdInPath = Annotated[
    str, Path(description="The enrollment.", pattern=r"^[A-Za-z0-9._~-]{1,128}$", examples=["enr_1"])
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="1 to 255 visible ASCII characters. The same key with the same request again answers what the first "
        "one did, and writes nothing.",
        examples=["6f1c7f0e-2a37-4c4b-9f4e-4711"],
    ),
]


def upload(shape: FormShape) -> Callable[[Request, Service], AsyncIterator[Form]]:
    """A dependency that reads the form of one call, and holds its memory until the call is answered."""

    async def read(request: Request, service: TheService) -> AsyncIterator[Form]:
        with service.upload_memory.lease() as lease:
            yield await read_form(request, shape, service.upload_limits, lease)

    return read


class Worker:
    """Runs the work of one request, unless its caller has left by the time that a thread is free for it."""

    def __init__(self, request: Request, service: Service) -> None:
        self._request = request
        self._service = service

    async def run(self, work: Callable[[], T]) -> T:
        """The body must have been read: what comes after it can only be that the caller left.

        Raises Overloaded, or ClientDisconnect, which nobody is left to be told.
        """
        try:
            return await self._service.work.run(work, self._caller_leaves)
        except CallerLeft as error:
            raise ClientDisconnect from error

    async def _caller_leaves(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass


async def _worker(request: Request, service: TheService) -> Worker:
    return Worker(request, service)


TheWorker = Annotated[Worker, Depends(_worker)]


async def idempotency_of_form(request: Request, key: str | None, form: Form) -> Idempotency | None:
    """The fingerprint covers what the form holds, not its bytes: a client's retry has another boundary."""
    if key is None:
        return None
    return await run_in_threadpool(idempotency_of_parts, request.method, request.url.path, key, form)


def idempotency_of_json(request: Request, key: str | None, body: Mapping[str, Any]) -> Idempotency | None:
    """`body` as parsed, so that spacing and the order of its fields do not matter."""
    if key is None:
        return None
    digest = _digest(request.method, request.url.path)
    digest.update(json.dumps(body, sort_keys=True).encode())
    return Idempotency(key, digest.hexdigest())


def idempotency_of_parts(method: str, path: str, key: str, form: Form) -> Idempotency:
    digest = _digest(method, path)
    for name, files in sorted(form.files.items()):
        for data in files:
            digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
    digest.update(json.dumps(dict(form.texts), sort_keys=True).encode())
    return Idempotency(key, digest.hexdigest())


def _digest(method: str, path: str) -> hashlib._Hash:
    return hashlib.sha256(f"{method} {path}\n".encode())
