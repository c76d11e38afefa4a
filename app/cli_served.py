"""The voices of a running service, by its client."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.cli_client import errors_of_here
from vouch_client import Vouch
from vouch_client.schemas import (
    EnrolledAnswer,
    EnrollmentAnswer,
    IdentificationAnswer,
    SpeakerAnswer,
    VerificationAnswer,
)

PAGE_SIZE = 200


class ServedVoices:
    """Fulfils `app.cli_voices.Voices`."""

    n_side_by_side = 4
    """Hides the way to and fro, and leaves a service of a few cores room for its other callers."""

    def __init__(self, vouch: Vouch, place: str) -> None:
        self._vouch = vouch
        self.place = place

    def compare(self, audio_a: bytes, audio_b: bytes, operating_point: str | None) -> VerificationAnswer:
        with errors_of_here():
            return self._vouch.compare(audio_a, audio_b, operating_point)

    def verify(self, speaker_id: str, audio: bytes, operating_point: str | None) -> VerificationAnswer:
        with errors_of_here():
            return self._vouch.verify(speaker_id, audio, operating_point)

    def identify(self, audio: bytes, top_k: int, operating_point: str | None) -> IdentificationAnswer:
        with errors_of_here():
            return self._vouch.identify(audio, top_k, operating_point)

    def create_speaker(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer:
        with errors_of_here():
            return self._vouch.create_speaker(speaker_id=speaker_id, display_name=display_name)

    def enroll(
        self, speaker_id: str, clips: Sequence[bytes], *, is_forced: bool = False, idempotency_key: str | None = None
    ) -> EnrolledAnswer:
        with errors_of_here():
            return self._vouch.enroll(speaker_id, clips, is_forced, idempotency_key=idempotency_key)

    def speakers(self) -> Iterator[SpeakerAnswer]:
        with errors_of_here():
            yield from self._vouch.speakers(PAGE_SIZE)

    def speaker(self, speaker_id: str) -> SpeakerAnswer:
        with errors_of_here():
            return self._vouch.speaker(speaker_id)

    def enrollments(self, speaker_id: str) -> list[EnrollmentAnswer]:
        with errors_of_here():
            return self._vouch.enrollments(speaker_id)

    def rename(self, speaker_id: str, display_name: str | None) -> SpeakerAnswer:
        with errors_of_here():
            return self._vouch.change_speaker(speaker_id, display_name=display_name)

    def erase(self, speaker_id: str) -> None:
        with errors_of_here():
            self._vouch.erase_speaker(speaker_id)
