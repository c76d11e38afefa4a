"""Routes on enrollments: the clips a speaker gave."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from app.api import examples
from app.api.dependencies import (
    EnrollmentIdInPath,
    IdempotencyKey,
    SpeakerIdInPath,
    Tenant,
    TheCaller,
    TheService,
    TheWorker,
    idempotency_of_form,
    upload,
)
from app.api.forms import FORCE, FileField, Form, FormShape
from app.api.guard import require_scope
from app.api.openapi import HEARD, STORED, answers, needs
from app.api.schemas import EnrolledAnswer, EnrollmentAnswer, EnrollmentList
from app.errors import EnrollmentNotFound, IdempotencyConflict, ModelMismatch, SpeakerNotFound
from model.errors import InconsistentVoice, NotEnoughSpeech, ReplaySuspected, TooNoisy

router = APIRouter(prefix="/v1/speakers/{speaker_id}/enrollments", tags=["enrollments"])

CLIPS = FormShape((FileField("audio", "One clip or more, each with enough speech.", is_repeatable=True),), (FORCE,))


@router.post(
    "",
    status_code=201,
    summary="Enrol clips",
    responses=answers(
        201,
        "What was enrolled, and how far the speaker is.",
        examples.ENROLLED,
        *HEARD,
        *STORED,
        SpeakerNotFound,
        ModelMismatch,
        IdempotencyConflict,
        NotEnoughSpeech,
        TooNoisy,
        InconsistentVoice,
        ReplaySuspected,
    ),
    openapi_extra={"requestBody": CLIPS.openapi(), **needs("enroll")},
)
async def enroll(
    speaker_id: SpeakerIdInPath,
    form: Annotated[Form, Depends(upload(CLIPS))],
    request: Request,
    service: TheService,
    worker: TheWorker,
    caller: TheCaller,
    key: IdempotencyKey = None,
) -> EnrolledAnswer:
    """All clips are enrolled, or none, and all must be one voice. The audio itself is not kept, only its embedding, its
    fingerprint and its quality."""
    is_forced = form.is_forced
    if is_forced:
        require_scope("force", caller)
    idempotency = await idempotency_of_form(request, key, form)
    clips, enroll = form.files["audio"], service.use_cases.enroll
    enrolled = await worker.run(lambda: enroll(caller.tenant, speaker_id, clips, idempotency, is_forced=is_forced))
    return EnrolledAnswer.of(enrolled, service.use_cases.rule.of(enrolled.speaker))


@router.get(
    "",
    summary="List enrollments",
    responses=answers(200, "The speaker's enrollments, oldest first.", examples.ENROLLMENTS, *STORED, SpeakerNotFound),
    openapi_extra=needs("enroll"),
)
def list_enrollments(speaker_id: SpeakerIdInPath, service: TheService, tenant: Tenant) -> EnrollmentList:
    """Each with the quality its clip had."""
    found = service.use_cases.speakers.enrollments(tenant, speaker_id)
    return EnrollmentList(enrollments=[EnrollmentAnswer.of(enrollment) for enrollment in found])


@router.delete(
    "/{enrollment_id}",
    status_code=204,
    summary="Take one enrollment back",
    responses=answers(204, "Gone.", None, *STORED, SpeakerNotFound, EnrollmentNotFound),
    openapi_extra=needs("erase"),
)
def remove_enrollment(
    speaker_id: SpeakerIdInPath, enrollment_id: EnrollmentIdInPath, service: TheService, tenant: Tenant
) -> None:
    """The reference is made anew from the others; with too little speech left, the speaker is no longer `enrolled`."""
    service.use_cases.erase.enrollment(tenant, speaker_id, enrollment_id)
