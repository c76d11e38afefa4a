"""The console: a page for people, and the files it is made of. Anybody may load it; what it does needs keys as any call does.

Every file is read once, at the start, so that no path of a request reaches the file system.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from app.api.openapi import OPEN
from app.settings import Settings

WEB = Path(__file__).resolve().parents[1] / "web"
PAGE = "index.html"
LIMITS = "limits.json"
"""What the page must know of the settings to say how much speech is enough."""

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ogg": "audio/ogg",
}
"""By suffix, and not the machine's own table, which differs. A file of another suffix is not served."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    # Kept, but asked for again each time: a new release's page must not run an old one's scripts.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class ConsoleFile:
    content: bytes
    media_type: str

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()}"'

    def response(self, request: Request) -> Response:
        """The whole file, or 304 where the browser has it."""
        headers = {**HEADERS, "ETag": self.etag}
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if known & {self.etag, "*"}:
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def console_router(settings: Settings) -> APIRouter:
    """The page at `/` and its files under `/console/`, by GET and HEAD."""
    files = _files(settings)
    router = APIRouter(include_in_schema=False)
    methods = ["GET", "HEAD"]

    @router.api_route("/", methods=methods, openapi_extra=OPEN)
    async def console(request: Request) -> Response:
        return files[PAGE].response(request)

    @router.api_route("/console/{file:path}", methods=methods, openapi_extra=OPEN)
    async def console_file(file: str, request: Request) -> Response:
        if file not in files:
            raise HTTPException(404)
        return files[file].response(request)

    return router


def _files(settings: Settings) -> dict[str, ConsoleFile]:
    """By name below `/console/`."""
    found = {
        path.relative_to(WEB).as_posix(): ConsoleFile(path.read_bytes(), MEDIA_TYPES[path.suffix])
        for path in WEB.rglob("*")
        if path.suffix in MEDIA_TYPES
    }
    return found | {LIMITS: ConsoleFile(json.dumps(_limits(settings)).encode(), "application/json")}


def _limits(settings: Settings) -> dict[str, float]:
    """Names as in `Settings`, which also has their units."""
    return settings.model_dump(
        include={"min_speech_s", "min_snr_db", "enroll_min_speech_s", "max_audio_s", "max_clips"}
    )
