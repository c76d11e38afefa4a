"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeVar, Unpack

import httpx2

from vouch_client import calls
from vouch_client.address import Address, http_options
from vouch_client.calls import Call
from vouch_client.clips import Clip
from vouch_client.errors import NotReady, Unreachable
from vouch_client.exchange import Outcome, Step, Wait, exchange
from vouch_client.schemas import (
    EmbeddingAnswer,
    EnrolledAnswer,
    EnrollmentAnswer,
    IdentificationAnswer,
    KeyAnswer,
    KeyIn,
    MadeKeyAnswer,
    ModelAnswer,
    SpeakerAnswer,
    SpeakerIn,
    SpeakerPatch,
    VerificationAnswer,
)

T = TypeVar("T")


class Vouch:
    """A service, as its callers see it. One may be shared by threads; close it, or use it in a `with` block.

    Every call raises VouchError, ValueError for an id or an argument that can be no call's, and OSError for a clip that
    cannot be read.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 2,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`url` is VOUCH_URL or http://127.0.0.1:8000, `key` VOUCH_API_KEY or none, where they are left out.

        `timeout` is in seconds, for each of connecting, sending and waiting for an answer. `retries` is how often more a
        call is sent, at most, where the service asks to come back (429 and 503 with Retry-After) or does not answer.
        `transport` and `sleep` stand in for the network and the clock. Raises ValueError for what is no URL or no key.
        """
        self._address = Address.of(url, key)
        self._retries = retries
        self._sleep = sleep
        self._http = httpx2.Client(transport=transport, **http_options(self._address, timeout))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def compare(self, audio_a: Clip, audio_b: Clip, operating_point: str | None = None) -> VerificationAnswer:
        """Are these two clips one voice?"""
        return self._ask(calls.compare(audio_a, audio_b, operating_point))

    def create_speaker(self, *, idempotency_key: str | None = None, **speaker: Unpack[SpeakerIn]) -> SpeakerAnswer:
        """Makes a speaker, still without a voice; `speaker_id` may be your own.

        An `idempotency_key` of your own makes a call that a crash interrupted safe to repeat.
        """
        return self._ask(calls.create_speaker(speaker, idempotency_key))

    def speakers(self, page_size: int = 50) -> Iterator[SpeakerAnswer]:
        """Every speaker, oldest first, asked for by pages of 1 to 200."""
        cursor = None
        while True:
            page = self._ask(calls.speakers_page(page_size, cursor))
            yield from page["speakers"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def speaker(self, speaker_id: str) -> SpeakerAnswer:
        """Reads a speaker: `status` tells whether it can be verified."""
        return self._ask(calls.speaker(speaker_id))

    def change_speaker(self, speaker_id: str, **changes: Unpack[SpeakerPatch]) -> SpeakerAnswer:
        """A field left out stays; None clears it."""
        return self._ask(calls.change_speaker(speaker_id, changes))

    def erase_speaker(self, speaker_id: str) -> None:
        """Erases a speaker with every enrollment, for good."""
        self._ask(calls.erase_speaker(speaker_id))

    def enroll(
        self, speaker_id: str, clips: Sequence[Clip], force: bool = False, *, idempotency_key: str | None = None
    ) -> EnrolledAnswer:
        """Enrols all clips, or none. `force` takes clips that do not sound like the speaker's others."""
        return self._ask(calls.enroll(speaker_id, clips, force, idempotency_key))

    def enrollments(self, speaker_id: str) -> list[EnrollmentAnswer]:
        """The clips that a speaker gave, oldest first."""
        return self._ask(calls.enrollments(speaker_id))

    def take_back(self, speaker_id: str, enrollment_id: str) -> None:
        """Erases one enrollment."""
        self._ask(calls.take_back(speaker_id, enrollment_id))

    def verify(self, speaker_id: str, audio: Clip, operating_point: str | None = None) -> VerificationAnswer:
        """Is this clip that speaker?"""
        return self._ask(calls.verify(speaker_id, audio, operating_point))

    def identify(
        self, audio: Clip, top_k: int | None = None, operating_point: str | None = None
    ) -> IdentificationAnswer:
        """Who is it, or nobody? At most `top_k` candidates, 1 to 100."""
        return self._ask(calls.identify(audio, top_k, operating_point))

    def embed(self, audio: Clip) -> EmbeddingAnswer:
        """A clip's raw embedding, where the service allows it."""
        return self._ask(calls.embed(audio))

    def model(self) -> ModelAnswer:
        """What is loaded, and how far to trust it."""
        return self._ask(calls.model())

    def is_ready(self) -> bool:
        """Whether the service can serve at this moment; False also where nothing answers."""
        try:
            self._ask(calls.readiness())
        except (NotReady, Unreachable):
            return False
        return True

    def create_key(self, **key: Unpack[KeyIn]) -> MadeKeyAnswer:
        """Makes an API key, which is shown this once. Never sent twice."""
        return self._ask(calls.create_key(key))

    def api_keys(self) -> list[KeyAnswer]:
        """Every key of every tenant, never the keys themselves."""
        return self._ask(calls.api_keys())

    def revoke_key(self, key_id: str) -> None:
        """Ends a key at once."""
        self._ask(calls.revoke_key(key_id))

    def rotate_key(self, key_id: str, overlap_s: int = 0) -> MadeKeyAnswer:
        """A key that may do the same; the old one ends after `overlap_s` seconds. Never sent twice."""
        return self._ask(calls.rotate_key(key_id, overlap_s))

    def _ask(self, call: Call[T]) -> T:
        steps = exchange(call, self._address, self._retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = self._take(step)

    def _take(self, step: Step) -> Outcome:
        if isinstance(step, Wait):
            self._sleep(step.seconds)
            return None
        try:
            return self._http.send(step)
        except httpx2.RequestError as error:
            return error
