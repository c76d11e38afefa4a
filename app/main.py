"""create_app: what runs at start and at stop, and what surrounds the routes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI

from app.api import (
    error_handlers,
    openapi,
    route_enrollments,
    route_keys,
    route_service,
    route_speakers,
    route_stream,
    route_voice,
)
from app.api.admission import Admission
from app.api.draining import STATE_DRAIN, Drain
from app.api.guard import AccessGuard
from app.api.metrics import Metrics
from app.api.middleware import BodyLimit, RequestContext
from app.api.route_console import console_router
from app.api.service import Service
from app.api.uploads import UploadLimits, UploadMemory
from app.components import Components, build
from app.settings import N_BYTES_PER_MB, Settings, load_settings
from app.usecases.chores import chores
from app.usecases.rate_limits import RateLimits

log = logging.getLogger("vouch")


def create_app(settings: Settings, components: Components | None = None) -> FastAPI:
    """The service. It takes over `components`, or builds them from the settings at start, and closes them at stop.

    It begins to serve when the gallery is rebuilt; whatever cannot be loaded fails the start.
    """
    metrics, drain = Metrics(), Drain()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Drain]]:
        parts = components if components is not None else await asyncio.to_thread(build, settings)
        try:
            app.state.service = await asyncio.to_thread(_start, settings, parts)
            metrics.describe(app.state.service, parts.decoder, parts.trail, settings.data_dir, app.version)
            tasks = [asyncio.create_task(chore) for chore in chores(app.state.service.use_cases, parts.trail)]
            try:
                yield {STATE_DRAIN: drain}
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            app.state.service = None
            await asyncio.to_thread(parts.close)

    app = FastAPI(
        title="Vouch",
        version=_version(),
        description=openapi.DESCRIPTION,
        openapi_tags=openapi.TAGS,
        lifespan=lifespan,
        docs_url=None,  # its page would run scripts from a public CDN, with this service's rights
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,  # `compare`, as generated clients should call it
    )
    app.state.metrics = metrics  # they are there before the service is
    app.state.drain = drain
    routers = [
        routes.router
        for routes in (route_voice, route_stream, route_speakers, route_enrollments, route_keys, route_service)
    ]
    routers += [console_router(settings)] if settings.console else []
    upload_routes = [route for router in routers for route in router.routes if openapi.takes_form(route)]
    # The last one added is the first to see a request.
    app.add_middleware(BodyLimit, max_file_bytes=settings.max_upload_bytes, upload_routes=upload_routes)
    app.add_middleware(Admission, upload_routes=upload_routes)
    app.add_middleware(
        AccessGuard,
        routes=[route for router in routers for route in router.routes],
        allow_keyless=settings.allow_keyless,
        limits=RateLimits(settings.rate_limit_per_minute, settings.verify_limit_per_minute),
    )
    app.add_middleware(RequestContext, metrics=metrics, drain=drain)
    for router in routers:
        app.include_router(router)
    error_handlers.install(app)
    openapi.install(app)
    return app


def from_environment() -> FastAPI:
    """For a server that takes a factory. Raises a VouchError with a sentence."""
    settings = load_settings()
    app = create_app(settings, build(settings))
    # What the libraries brought, half a million objects, stays for good; no collection while requests wait looks at it.
    gc.collect()
    gc.freeze()
    return app


def _start(settings: Settings, components: Components) -> Service:
    use_cases = components.use_cases(settings)
    use_cases.expiry()  # nobody whose consent ended while the service was down is found again
    use_cases.sync.start()
    if settings.allow_keyless and not use_cases.keys.are_required:
        log.warning(
            "VOUCH_ALLOW_KEYLESS is set: whoever reaches %s:%d may enrol, verify and erase.",
            settings.host,
            settings.port,
        )
    return Service(
        use_cases=use_cases,
        facts=components.facts,
        work=components.work,
        upload_limits=UploadLimits.of(settings),
        upload_memory=UploadMemory(int(settings.upload_memory_mb * N_BYTES_PER_MB)),
    )


def _version() -> str:
    try:
        return version("vouch")
    except PackageNotFoundError:  # run from the sources, not installed
        return "0+unknown"
