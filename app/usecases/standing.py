"""How far a speaker's enrollment has come: the one place that derives a status."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelMismatch, NotEnrolled
from app.records import Speaker, SpeakerStatus, StandingBatch


class Enrolling(Protocol):
    """What a Speaker and a Reference have in common."""

    @property
    def enrollment_count(self) -> int: ...

    @property
    def speech_s(self) -> float: ...

    @property
    def encoder_id(self) -> str | None: ...


@dataclass(frozen=True)
class Standing:
    status: SpeakerStatus
    remaining_speech_s: float
    """Net speech still to be enrolled before the speaker can be verified; 0 once enrolled."""


@dataclass(frozen=True)
class StandingRule:
    encoder_id: str
    """The encoder that is loaded."""
    enroll_min_speech_s: float
    """Net speech over all clips that makes a speaker enrolled."""

    def of(self, voice: Enrolling) -> Standing:
        """A stale speaker starts again from nothing, since old embeddings are never compared with new ones."""
        if voice.enrollment_count == 0:
            return Standing("empty", self.enroll_min_speech_s)
        if voice.encoder_id != self.encoder_id:
            return Standing("stale", self.enroll_min_speech_s)
        if voice.speech_s < self.enroll_min_speech_s:
            return Standing("enrolling", self.enroll_min_speech_s - voice.speech_s)
        return Standing("enrolled", 0.0)

    def is_enrolled(self, batch: StandingBatch) -> NDArray[np.bool_]:
        """(n,): for whom `of` says `enrolled`. A test holds the two together."""
        return (
            batch.is_of(self.encoder_id) & (batch.enrollment_counts > 0) & ~(batch.speech_s < self.enroll_min_speech_s)
        )

    def require_current(self, speaker: Speaker) -> None:
        """Raises ModelMismatch for a speaker enrolled with another encoder."""
        if self.of(speaker).status == "stale":
            raise ModelMismatch.between(speaker.speaker_id, speaker.encoder_id, self.encoder_id)

    def require_enrolled(self, speaker: Speaker) -> None:
        """Raises ModelMismatch or NotEnrolled unless the speaker can be verified."""
        self.require_current(speaker)
        standing = self.of(speaker)
        if standing.status != "enrolled":
            # Rounded away from the limit: "5.00 s; 5 s is needed" would help nobody.
            has_s = math.floor(speaker.speech_s * 100) / 100
            remaining_s = math.ceil(standing.remaining_speech_s * 100) / 100
            raise NotEnrolled(
                f"Speaker {speaker.speaker_id!r} has {has_s:.2f} s of enrolled speech; "
                f"{self.enroll_min_speech_s:g} s is needed. Enrol {remaining_s:.2f} s more."
            )
