"""What surrounds every request: its id, its log line, its times, the last resort for errors, and the bound on its body."""

from __future__ import annotations

import base64
import logging
import random
import re
import time
from collections.abc import Mapping, Sequence

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.access import Caller
from app.api.draining import Drain
from app.api.guard import STATE_CALLER
from app.api.metrics import NO_ROUTE, Ended, Metrics
from app.api.problems import STATE_CODE, internal_error, response_to
from app.errors import RequestTooLarge
from app.logs import FIELDS
from app.settings import N_BYTES_PER_MB
from app.stages import Stage, StageTimes, recording
from model.errors import AudioTooLarge, VouchError

log = logging.getLogger("vouch")
access_log = logging.getLogger("vouch.access")

REQUEST_ID_HEADER = "X-Request-ID"
_random = random.Random()  # nosec B311 # no secrets
"""For request ids, which are no secrets: `secrets` asks the kernel each time, and the interpreter is another thread's then."""
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

MAX_PLAIN_BODY_BYTES = 64 * 1024
"""For every body that is no upload: metadata of 4 KiB and a name fit many times."""
FORM_OVERHEAD_BYTES = N_BYTES_PER_MB
SWITCHING_PROTOCOLS = 101
"""What a WebSocket's handshake is answered with."""


class RequestContext:
    """Gives a request its id, answers what nothing else caught, tells where its time went, and writes one line.

    The line has the route's template and the public id of the caller's key, and nobody else's id: who was verified is
    nobody's business but the caller's.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, drain: Drain) -> None:
        self._app = app
        self._metrics = metrics
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        # Never reset: what is raised after an answer began is logged by the server, in this very task.
        logs.request_id.set(request_id)
        start_s, status, times = time.perf_counter(), 0, StageTimes()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = SWITCHING_PROTOCOLS
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Server-Timing"] = _server_timing(times.seconds(), time.perf_counter() - start_s)
                headers.setdefault("Cache-Control", "no-store")
                if self._drain.has_begun:
                    headers["Connection"] = "close"  # the next call finds another service
            await send(message)

        try:
            with recording(times):
                await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            log.info("the client went away")
        except Exception as error:
            if status:  # too late for another answer
                raise
            await internal_error(error, request_id)(scope, receive, send_with_headers)
        finally:
            method, route = scope.get("method", "GET"), getattr(scope.get("route"), "path", None)
            took_s = time.perf_counter() - start_s
            ended = Ended(method, route, status, scope["state"].get(STATE_CODE), took_s, stages_s=times.seconds())
            self._metrics.count(ended)
            _log_access(ended, scope["state"].get(STATE_CALLER))


def _log_access(ended: Ended, caller: Caller | None) -> None:
    route, took_ms, code = ended.route or NO_ROUTE, 1000 * ended.took_s, ended.problem_code
    key_id = None if caller is None else caller.key_id
    access_log.info(
        "%s %s %d %.1f ms key_id=%s code=%s",
        *(ended.method, route, ended.status, took_ms, key_id or "-", code or "-"),
        extra={
            FIELDS: {
                "method": ended.method,
                "route": route,
                "status": ended.status,
                "took_ms": round(took_ms, 1),
                "key_id": key_id,
                "code": code,
            }
        },
    )


def _server_timing(seconds: Mapping[Stage, float], total_s: float) -> str:
    """Milliseconds, as W3C's Server Timing has them, until the answer begins."""
    return ", ".join(f"{name};dur={1000 * took_s:.2f}" for name, took_s in [*seconds.items(), ("total", total_s)])


def _request_id(sent: str | None) -> str:
    """The caller's id where it is safe to log and to send back, or a new one."""
    if sent is not None and _SANE_REQUEST_ID.fullmatch(sent):
        return sent
    return new_request_id()


def new_request_id() -> str:
    return f"req_{base64.urlsafe_b64encode(_random.randbytes(12)).decode()}"


class BodyTooLarge(HTTPException):
    """Raised while a body arrives. The framework lets an HTTPException through, and makes a 400 of anything else."""

    def __init__(self, error: VouchError) -> None:
        super().__init__(status_code=413)
        self.__cause__ = error


class BodyLimit:
    """Bounds every body, declared or chunked: an upload to two full files, anything else to 64 KiB.

    What is an upload is for the route to say, not for the caller's headers: only a route that takes a form counts
    the bytes it holds against the memory of all uploads.
    """

    def __init__(self, app: ASGIApp, max_file_bytes: int, upload_routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._upload_routes = upload_routes
        self._max_upload_bytes = 2 * max_file_bytes + FORM_OVERHEAD_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_upload = any(route.matches(scope)[0] is Match.FULL for route in self._upload_routes)
        length = headers.get("content-length", "")
        if length.isdigit() and (error := self._refusal(int(length), is_upload)):
            request_id = scope.get("state", {}).get("request_id", "")
            await response_to(error, request_id)(scope, receive, send)
            return
        n_bytes = 0

        async def receive_bounded() -> Message:
            nonlocal n_bytes
            message = await receive()
            if message["type"] == "http.request":
                n_bytes += len(message.get("body", b""))
                if error := self._refusal(n_bytes, is_upload):
                    raise BodyTooLarge(error)
            return message

        await self._app(scope, receive_bounded, send)

    def _refusal(self, n_bytes: int, is_upload: bool) -> VouchError | None:
        if is_upload and n_bytes > self._max_upload_bytes:
            return AudioTooLarge(
                f"The request holds {n_bytes} bytes or more; at most {self._max_upload_bytes} are taken, which is "
                "twice VOUCH_MAX_UPLOAD_MB and 1 MiB for the form. Send fewer, shorter or compressed recordings."
            )
        if not is_upload and n_bytes > MAX_PLAIN_BODY_BYTES:
            return RequestTooLarge(
                f"The body has {n_bytes} bytes or more; a body without files may have {MAX_PLAIN_BODY_BYTES}."
            )
        return None
