"""Routes on speakers as records. They touch the store only, so they run beside the encoder's queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from app.api import examples
from app.api.dependencies import IdempotencyKey, SpeakerIdInPath, Tenant, TheService, idempotency_of_json
from app.api.openapi import STORED, answers, kept, needs
from app.api.requests import SpeakerIn, SpeakerPatch
from app.api.schemas import SpeakerAnswer, SpeakerList
from app.api.service import Service
from app.errors import IdempotencyConflict, SpeakerExists, SpeakerNotFound
from app.records import Speaker

router = APIRouter(prefix="/v1/speakers", tags=["speakers"])

LOCATION = {"Location": {"description": "The speaker's path.", "schema": {"type": "string"}}}


def answer(speaker: Speaker, service: Service) -> SpeakerAnswer:
    return SpeakerAnswer.of(speaker, service.use_cases.rule.of(speaker))


@router.post(
    "",
    status_code=201,
    summary="Make a speaker",
    responses=answers(
        201,
        "The speaker, still without a voice.",
        examples.NEW_SPEAKER,
        *STORED,
        SpeakerExists,
        IdempotencyConflict,
        headers=LOCATION,
    ),
    openapi_extra=needs("enroll"),
)
def create_speaker(
    body: Annotated[SpeakerIn, Body(openapi_examples={"named": {"value": kept(examples.SPEAKER_IN)}})],
    request: Request,
    response: Response,
    service: TheService,
    tenant: Tenant,
    key: IdempotencyKey = None,
) -> SpeakerAnswer:
    """Under your own `speaker_id`, or under a new one that cannot be guessed."""
    idempotency = idempotency_of_json(request, key, body.model_dump(mode="json", exclude_unset=True))
    speaker = service.use_cases.speakers.create(
        tenant, body.speaker_id, body.display_name, body.metadata, body.consent_record(), idempotency
    )
    response.headers["Location"] = f"/v1/speakers/{speaker.speaker_id}"
    return answer(speaker, service)


@router.get(
    "",
    summary="List speakers",
    responses=answers(200, "A page of speakers, oldest first.", examples.SPEAKERS, *STORED),
    openapi_extra=needs("enroll"),
)
def list_speakers(
    service: TheService,
    tenant: Tenant,
    limit: Annotated[int, Query(ge=1, le=200, description="Most speakers on a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before.")] = None,
) -> SpeakerList:
    """Pages by cursor: nobody is skipped or listed twice while others come and go."""
    page = service.use_cases.speakers.page(tenant, limit, cursor)
    return SpeakerList(speakers=[answer(speaker, service) for speaker in page.speakers], next_cursor=page.next_cursor)


@router.get(
    "/{speaker_id}",
    summary="Read a speaker",
    responses=answers(200, "The speaker.", examples.SPEAKER, *STORED, SpeakerNotFound),
    openapi_extra=needs("enroll"),
)
def get_speaker(speaker_id: SpeakerIdInPath, service: TheService, tenant: Tenant) -> SpeakerAnswer:
    """`status` tells whether the speaker can be verified, and `remaining_speech_s` how much is missing."""
    return answer(service.use_cases.speakers.get(tenant, speaker_id), service)


@router.patch(
    "/{speaker_id}",
    summary="Change a speaker",
    responses=answers(200, "The speaker as changed.", examples.SPEAKER, *STORED, SpeakerNotFound),
    openapi_extra=needs("enroll"),
)
def change_speaker(
    speaker_id: SpeakerIdInPath,
    body: Annotated[SpeakerPatch, Body(openapi_examples={"rename": {"value": kept(examples.SPEAKER_PATCH)}})],
    service: TheService,
    tenant: Tenant,
) -> SpeakerAnswer:
    """A field left out stays; null clears it. The voice is changed through enrollments only."""
    return answer(service.use_cases.speakers.change(tenant, speaker_id, body.changes()), service)


@router.delete(
    "/{speaker_id}",
    status_code=204,
    summary="Erase a speaker for good",
    responses=answers(204, "Gone, with every enrollment.", None, *STORED, SpeakerNotFound),
    openapi_extra=needs("erase"),
)
def erase_speaker(speaker_id: SpeakerIdInPath, service: TheService, tenant: Tenant) -> None:
    """Removes the record, the enrollments and the gallery's copy. There is no undo."""
    service.use_cases.erase.speaker(tenant, speaker_id)
