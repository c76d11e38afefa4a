"""What goes over the wire: answers. Requests are in `requests.py`.

Every number is finite and rounded to six decimals, beyond which a score says nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.records import (
    Clip,
    Enrolled,
    Enrollment,
    Identification,
    IdentifiedCandidate,
    ModelFacts,
    Speaker,
    SpeakerStatus,
    Verification,
)
from app.usecases.standing import Standing
from model.decision import Flag, OperatingPoint, Outcome
from model.quality import Quality
from model.waveform import Source


def _rounded(value: float) -> float:
    return round(value, 6)


Number = Annotated[float, AfterValidator(_rounded), Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
FLAGS: Any = Field(
    description="Warnings, which by themselves leave the decision alone. `replay_suspected`: the recording was heard before."
)


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str = Field(description="A sentence that names the actual and the required value.")
    code: str = Field(description="Stable; clients may switch on it.")
    request_id: str
    errors: list[dict[str, str]] | None = Field(None, description="Each refused field, where fields were refused.")


class Audio(Answer):
    """What a clip was worth as evidence."""

    duration_s: Number
    speech_s: Number = Field(description="Net speech, in seconds.")
    snr_db: Number | None = Field(description="null where speech or pause is missing.")
    clipped_fraction: Fraction
    sample_rate_hz: int
    channels: int
    format: str

    @classmethod
    def of(cls, quality: Quality, source: Source) -> Self:
        return cls(
            duration_s=quality.duration_s,
            speech_s=quality.speech_s,
            snr_db=quality.snr_db,
            clipped_fraction=quality.clipped_fraction,
            sample_rate_hz=source.sample_rate_hz,
            channels=source.channels,
            format=source.format,
        )

    @classmethod
    def of_clip(cls, clip: Clip) -> Self:
        return cls.of(clip.quality, clip.source)


class Threshold(Answer):
    operating_point: str
    llr: Number = Field(description="Accept at this natural-log likelihood ratio or above.")
    score: Number | None = Field(
        description="The score at which this very trial would meet it, which depends on the speech, the clips and the noise "
        "on both sides; of an identification, the best candidate's trial. null where no score would, or there is none."
    )
    fmr: Fraction = Field(description="False-match rate measured there.")
    fnmr: Fraction = Field(description="False-non-match rate measured there.")
    calibration_id: str

    @classmethod
    def of(cls, point: OperatingPoint, score: float | None, facts: ModelFacts) -> Self:
        return cls(
            operating_point=point.name,
            llr=point.llr,
            score=score,
            fmr=point.fmr,
            fnmr=point.fnmr,
            calibration_id=facts.calibration_id,
        )


class ModelRef(Answer):
    id: str
    sha256: str

    @classmethod
    def of(cls, facts: ModelFacts) -> Self:
        return cls(id=facts.bundle_id, sha256=facts.sha256)


class VerificationAnswer(Answer):
    decision: Outcome
    reasons: list[str] = Field(description="Why it is inconclusive; empty on a plain accept or reject.")
    flags: list[Flag] = FLAGS
    score: Number | None = Field(description="null where a clip gave no embedding.")
    score_scale: Literal["cosine"]
    llr: Number | None
    probability: Fraction | None = Field(description="sigmoid(llr + logit(prior)).")
    prior: Fraction
    threshold: Threshold
    speaker_id: str | None
    audio: list[Audio] = Field(description="One for each clip sent, in the order of the call.")
    model: ModelRef
    request_id: str

    @classmethod
    def of(cls, result: Verification, facts: ModelFacts, request_id: str) -> Self:
        return cls(
            decision=result.decision.outcome,
            reasons=list(result.decision.reasons),
            flags=list(result.flags),
            score=result.score,
            score_scale="cosine",
            llr=result.llr,
            probability=result.probability,
            prior=result.prior,
            threshold=Threshold.of(result.point, result.threshold_score, facts),
            speaker_id=result.speaker_id,
            audio=[Audio.of_clip(clip) for clip in result.clips],
            model=ModelRef.of(facts),
            request_id=request_id,
        )


class Running(Answer):
    """What a stream says so far. No decision: that is for the last message."""

    type: Literal["running"]
    llr: Number | None
    probability: Fraction | None
    score: Number | None
    audio: Audio

    @classmethod
    def of(cls, result: Verification) -> Self:
        return cls(
            type="running",
            llr=result.llr,
            probability=result.probability,
            score=result.score,
            audio=Audio.of_clip(result.clips[0]),
        )


class StreamFinal(Answer):
    type: Literal["final"]
    verification: VerificationAnswer


class CandidateAnswer(Answer):
    speaker_id: str
    display_name: str | None
    score: Number
    llr: Number
    probability: Fraction
    decision: Outcome = Field(description="As if this speaker alone had been claimed.")

    @classmethod
    def of(cls, candidate: IdentifiedCandidate) -> Self:
        return cls(
            speaker_id=candidate.speaker_id,
            display_name=candidate.display_name,
            score=candidate.score,
            llr=candidate.llr,
            probability=candidate.probability,
            decision=candidate.decision.outcome,
        )


class IdentificationAnswer(Answer):
    decision: Outcome
    reasons: list[str]
    flags: list[Flag] = FLAGS
    candidates: list[CandidateAnswer] = Field(description="One a person, best first, at most top_k.")
    threshold: Threshold
    audio: list[Audio] = Field(min_length=1, max_length=1)
    model: ModelRef
    request_id: str

    @classmethod
    def of(cls, result: Identification, facts: ModelFacts, request_id: str) -> Self:
        return cls(
            decision=result.decision.outcome,
            reasons=list(result.decision.reasons),
            flags=list(result.flags),
            candidates=[CandidateAnswer.of(candidate) for candidate in result.candidates],
            threshold=Threshold.of(result.point, result.threshold_score, facts),
            audio=[Audio.of_clip(result.clip)],
            model=ModelRef.of(facts),
            request_id=request_id,
        )


class EmbeddingAnswer(Answer):
    embedding: list[Number] = Field(description="Unit length; the cosine of two is their score.")
    n_embedding: int
    encoder_id: str = Field(description="Only embeddings of one encoder_id may be compared.")
    audio: list[Audio] = Field(min_length=1, max_length=1)
    model: ModelRef
    request_id: str

    @classmethod
    def of(cls, clip: Clip, facts: ModelFacts, request_id: str) -> Self:
        embedding = [] if clip.embedding is None else clip.embedding.tolist()
        return cls(
            embedding=embedding,
            n_embedding=len(embedding),
            encoder_id=facts.encoder_id,
            audio=[Audio.of_clip(clip)],
            model=ModelRef.of(facts),
            request_id=request_id,
        )


class SpeakerAnswer(Answer):
    speaker_id: str
    display_name: str | None
    metadata: dict[str, Any]
    status: SpeakerStatus = Field(description="`stale`: enrolled with another encoder than the one loaded.")
    enrollment_count: int
    speech_s: Number = Field(description="Net speech of all enrollments.")
    remaining_speech_s: Number = Field(description="Net speech still to enrol before the speaker can be verified.")
    encoder_id: str | None
    created_at: datetime
    updated_at: datetime
    consent: dict[str, Any] | None

    @classmethod
    def of(cls, speaker: Speaker, standing: Standing) -> Self:
        return cls(
            speaker_id=speaker.speaker_id,
            display_name=speaker.display_name,
            metadata=dict(speaker.metadata),
            status=standing.status,
            enrollment_count=speaker.enrollment_count,
            speech_s=speaker.speech_s,
            remaining_speech_s=standing.remaining_speech_s,
            encoder_id=speaker.encoder_id,
            created_at=speaker.created_at,
            updated_at=speaker.updated_at,
            consent=None if speaker.consent is None else dict(speaker.consent),
        )


class SpeakerList(Answer):
    speakers: list[SpeakerAnswer]
    next_cursor: str | None = Field(description="Pass it as `cursor` for the next page; null on the last.")


class EnrollmentAnswer(Answer):
    enrollment_id: str
    speech_s: Number
    audio: Audio
    created_at: datetime

    @classmethod
    def of(cls, enrollment: Enrollment) -> Self:
        return cls(
            enrollment_id=enrollment.enrollment_id,
            speech_s=enrollment.quality.speech_s,
            audio=Audio.of(enrollment.quality, enrollment.source),
            created_at=enrollment.created_at,
        )


class EnrollmentList(Answer):
    enrollments: list[EnrollmentAnswer] = Field(description="Oldest first.")


class EnrolledAnswer(EnrollmentList):
    flags: list[Flag] = FLAGS
    speaker: SpeakerAnswer

    @classmethod
    def of(cls, enrolled: Enrolled, standing: Standing) -> Self:
        return cls(
            enrollments=[EnrollmentAnswer.of(enrollment) for enrollment in enrolled.enrollments],
            flags=list(enrolled.flags),
            speaker=SpeakerAnswer.of(enrolled.speaker, standing),
        )


class Live(Answer):
    status: Literal["alive"]


class Ready(Answer):
    status: Literal["ready"]
