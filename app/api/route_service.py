"""Routes about the service itself: the model, the probes and the metrics. None waits for the encoder."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.responses import Response

from app.api import examples
from app.api.dependencies import TheDrain, TheMetrics, TheService
from app.api.metrics import CONTENT_TYPE
from app.api.model_schema import ModelAnswer
from app.api.openapi import ALWAYS, KEYED, OPEN, answers, needs
from app.api.schemas import Live, Ready
from app.errors import ModelNotReady

router = APIRouter()


@router.get(
    "/v1/model",
    tags=["model"],
    summary="What is loaded, and how far to trust it",
    responses=answers(200, "The bundle's account of itself.", examples.MODEL, *KEYED, ModelNotReady),
    openapi_extra=needs(),
)
async def model(service: TheService) -> ModelAnswer:
    """Hashes, measured error rates, operating points, licence and limits; and the model card as text."""
    judge = service.use_cases.judge
    return ModelAnswer.of(service.facts, judge.default_point, judge.prior)


@router.head("/livez", include_in_schema=False, openapi_extra=OPEN)  # some load balancers ask so
@router.get(
    "/livez",
    tags=["probes"],
    summary="Is the process alive?",
    responses=answers(200, "It answers.", {"status": "alive"}, *ALWAYS),
    openapi_extra=OPEN,
)
async def livez() -> Live:
    """Restart the process where this fails."""
    return Live(status="alive")


@router.head("/readyz", include_in_schema=False, openapi_extra=OPEN)
@router.get(
    "/readyz",
    tags=["probes"],
    summary="Can it serve?",
    responses=answers(
        200,
        "The encoder is loaded, the store answers, and the gallery holds whom the store says is enrolled.",
        {"status": "ready"},
        *ALWAYS,
        ModelNotReady,
    ),
    openapi_extra=OPEN,
)
def readyz(service: TheService, drain: TheDrain) -> Ready:
    """Send no traffic here while this fails."""
    if drain.has_begun:
        raise ModelNotReady("The service is stopping, and will take no new calls soon.")
    service.use_cases.readiness.check()
    return Ready(status="ready")


class MetricsText(Response):
    media_type = CONTENT_TYPE


@router.get(
    "/metrics",
    tags=["probes"],
    summary="How it fares, for Prometheus",
    response_class=MetricsText,
    responses=answers(
        200, "Prometheus's text format. No speaker is in it.", examples.METRICS, *KEYED, media_type=CONTENT_TYPE
    ),
    openapi_extra=needs("metrics"),
)
async def metrics(metrics: TheMetrics) -> MetricsText:
    """Time for each stage and each call, problems by code, places in the queue, what is loaded, and the process."""
    # Neither on the loop, which it would hold for some milliseconds, nor on the threads of the other calls: those may
    # all be waiting for the store, which is when somebody looks.
    return MetricsText(await asyncio.to_thread(metrics.text))
