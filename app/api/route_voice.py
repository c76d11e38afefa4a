"""Routes that hear a probe: compare, verify, identify, embeddings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api import examples, rounding
from app.api.dependencies import (
    RequestId,
    SpeakerIdInPath,
    Tenant,
    TheCaller,
    TheMetrics,
    TheService,
    TheWorker,
    upload,
)
from app.api.forms import OPERATING_POINT, TOP_K, FileField, Form, FormShape
from app.api.openapi import HEARD, STORED, answers, needs
from app.api.schemas import EmbeddingAnswer, IdentificationAnswer, VerificationAnswer
from app.errors import ModelMismatch, NotEnrolled, SpeakerNotFound
from model.errors import NotEnoughSpeech

router = APIRouter(prefix="/v1")

PAIR = FormShape(
    (FileField("audio_a", "One clip."), FileField("audio_b", "The other clip.")),
    (OPERATING_POINT,),
)
PROBE = FormShape((FileField("audio", "The clip under test."),), (OPERATING_POINT,))
PROBE_TOP_K = FormShape(PROBE.files, (OPERATING_POINT, TOP_K))
CLIP = FormShape((FileField("audio", "The clip to embed."),))


@router.post(
    "/compare",
    tags=["compare"],
    summary="Are these two clips one voice?",
    responses=answers(200, "What the two clips say, and whether they say enough.", examples.COMPARISON, *HEARD),
    openapi_extra={"requestBody": PAIR.openapi(), **needs("compare")},
)
async def compare(
    form: Annotated[Form, Depends(upload(PAIR))],
    service: TheService,
    worker: TheWorker,
    caller: TheCaller,
    request_id: RequestId,
    metrics: TheMetrics,
) -> VerificationAnswer:
    """Nothing is stored. Too little speech or too much noise is `inconclusive`, with reasons, not an error."""
    result = await worker.run(
        lambda: service.use_cases.compare(form.file("audio_a"), form.file("audio_b"), form.operating_point)
    )
    metrics.voice.count_verification("compare", result)
    return VerificationAnswer.of(rounding.verification(result, caller), service.facts, request_id)


@router.post(
    "/speakers/{speaker_id}/verify",
    tags=["verify"],
    summary="Is this clip that speaker?",
    responses=answers(
        200,
        "What the clip says about the claim, and whether it says enough.",
        examples.VERIFICATION,
        *HEARD,
        *STORED,
        SpeakerNotFound,
        NotEnrolled,
        ModelMismatch,
    ),
    openapi_extra={"requestBody": PROBE.openapi(), **needs("verify")},
)
async def verify(
    speaker_id: SpeakerIdInPath,
    form: Annotated[Form, Depends(upload(PROBE))],
    service: TheService,
    worker: TheWorker,
    caller: TheCaller,
    request_id: RequestId,
    metrics: TheMetrics,
) -> VerificationAnswer:
    """The speaker must be `enrolled`. The clip is compared with the speaker's reference, and nothing of it is kept but a
    fingerprint, by which it is known when it is sent again.
    """
    result = await worker.run(
        lambda: service.use_cases.verify(caller.tenant, speaker_id, form.file("audio"), form.operating_point)
    )
    metrics.voice.count_verification("verify", result)
    return VerificationAnswer.of(rounding.verification(result, caller), service.facts, request_id)


@router.post(
    "/identify",
    tags=["identify"],
    summary="Who is it, or nobody?",
    responses=answers(200, "The candidates, best first; there may be none.", examples.IDENTIFICATION, *HEARD, *STORED),
    openapi_extra={"requestBody": PROBE_TOP_K.openapi(), **needs("identify")},
)
async def identify(
    form: Annotated[Form, Depends(upload(PROBE_TOP_K))],
    service: TheService,
    worker: TheWorker,
    caller: TheCaller,
    request_id: RequestId,
    metrics: TheMetrics,
) -> IdentificationAnswer:
    """Searches every `enrolled` speaker. `accept` needs the threshold plus ln(speakers searched), and a clear lead."""
    top_k = form.top_k
    result = await worker.run(
        lambda: service.use_cases.identify(caller.tenant, form.file("audio"), top_k, form.operating_point)
    )
    metrics.voice.count_identification(result)
    seen = rounding.identification(result, caller, service.use_cases.judge.prior)
    return IdentificationAnswer.of(seen, service.facts, request_id)


async def _require_embeddings(service: TheService) -> None:
    service.use_cases.embed.require_enabled()


@router.post(
    "/embeddings",
    tags=["embeddings"],
    summary="A clip's raw embedding",
    dependencies=[Depends(_require_embeddings)],
    responses=answers(200, "The embedding.", examples.EMBEDDING, *HEARD, NotEnoughSpeech),
    openapi_extra={"requestBody": CLIP.openapi(), **needs("embeddings")},
)
async def embed(
    form: Annotated[Form, Depends(upload(CLIP))],
    service: TheService,
    worker: TheWorker,
    tenant: Tenant,
    request_id: RequestId,
) -> EmbeddingAnswer:
    """403 until `VOUCH_EMBEDDINGS_ENABLED=1`: an embedding is biometric data in the clear. Nothing is stored.

    Any clip that fills a frame has one, good or not: judge it by `audio`.
    """
    clip = await worker.run(lambda: service.use_cases.embed(tenant, form.file("audio")))
    return EmbeddingAnswer.of(clip, service.facts, request_id)
