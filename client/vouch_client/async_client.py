"""The client that awaits, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import ParamSpec, Self, TypeVar, Unpack

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

P = ParamSpec("P")
T = TypeVar("T")


class AsyncVouch:
    """`Vouch` for asyncio: the same calls, awaited. Close it with `aclose`, or use it in an `async with` block."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 2,
        transport: httpx2.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """As `Vouch` has it."""
        self._address = Address.of(url, key)
        self._retries = retries
        self._sleep = sleep
        self._http = httpx2.AsyncClient(transport=transport, **http_options(self._address, timeout))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def compare(self, audio_a: Clip, audio_b: Clip, operating_point: str | None = None) -> VerificationAnswer:
        """Are these two clips one voice?"""
        return await self._upload(calls.compare, audio_a, audio_b, operating_point)

    async def create_speaker(
        self, *, idempotency_key: str | None = None, **speaker: Unpack[SpeakerIn]
    ) -> SpeakerAnswer:
        """Makes a speaker, still without a voice; `speaker_id` may be your own.

        An `idempotency_key` of your own makes a call that a crash interrupted safe to repeat.
        """
        return await self._ask(calls.create_speaker(speaker, idempotency_key))

    async def speakers(self, page_size: int = 50) -> AsyncIterator[SpeakerAnswer]:
        """Every speaker, oldest first, asked for by pages of 1 to 200."""
        cursor = None
        while True:
            page = await self._ask(calls.speakers_page(page_size, cursor))
            for speaker in page["speakers"]:
                yield speaker
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def speaker(self, speaker_id: str) -> SpeakerAnswer:
        """Reads a speaker: `status` tells whether it can be verified."""
        return await self._ask(calls.speaker(speaker_id))

    async def change_speaker(self, speaker_id: str, **changes: Unpack[SpeakerPatch]) -> SpeakerAnswer:
        """A field left out stays; None clears it."""
        return await self._ask(calls.change_speaker(speaker_id, changes))

    async def erase_speaker(self, speaker_id: str) -> None:
        """Erases a speaker with every enrollment, for good."""
        await self._ask(calls.erase_speaker(speaker_id))

    async def enroll(
        self, speaker_id: str, clips: Sequence[Clip], force: bool = False, *, idempotency_key: str | None = None
    ) -> EnrolledAnswer:
        """Enrols all clips, or none. `force` takes clips that do not sound like the speaker's others."""
        return await self._upload(calls.enroll, speaker_id, clips, force, idempotency_key)

    async def enrollments(self, speaker_id: str) -> list[EnrollmentAnswer]:
        """The clips that a speaker gave, oldest first."""
        return await self._ask(calls.enrollments(speaker_id))

    async def take_back(self, speaker_id: str, enrollment_id: str) -> None:
        """Erases one enrollment."""
        await self._ask(calls.take_back(speaker_id, enrollment_id))

    async def verify(self, speaker_id: str, audio: Clip, operating_point: str | None = None) -> VerificationAnswer:
        """Is this clip that speaker?"""
        return await self._upload(calls.verify, speaker_id, audio, operating_point)

    async def identify(
        self, audio: Clip, top_k: int | None = None, operating_point: str | None = None
    ) -> IdentificationAnswer:
        """Who is it, or nobody? At most `top_k` candidates, 1 to 100."""
        return await self._upload(calls.identify, audio, top_k, operating_point)

    async def embed(self, audio: Clip) -> EmbeddingAnswer:
        """A clip's raw embedding, where the service allows it."""
        return await self._upload(calls.embed, audio)

    async def model(self) -> ModelAnswer:
        """What is loaded, and how far to trust it."""
        return await self._ask(calls.model())

    async def is_ready(self) -> bool:
        """Whether the service can serve at this moment; False also where nothing answers."""
        try:
            await self._ask(calls.readiness())
        except (NotReady, Unreachable):
            return False
        return True

    async def create_key(self, **key: Unpack[KeyIn]) -> MadeKeyAnswer:
        """Makes an API key, which is shown this once. Never sent twice."""
        return await self._ask(calls.create_key(key))

    async def api_keys(self) -> list[KeyAnswer]:
        """Every key of every tenant, never the keys themselves."""
        return await self._ask(calls.api_keys())

    async def revoke_key(self, key_id: str) -> None:
        """Ends a key at once."""
        await self._ask(calls.revoke_key(key_id))

    async def rotate_key(self, key_id: str, overlap_s: int = 0) -> MadeKeyAnswer:
        """A key that may do the same; the old one ends after `overlap_s` seconds. Never sent twice."""
        return await self._ask(calls.rotate_key(key_id, overlap_s))

    async def _upload(self, build: Callable[P, Call[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        # Clips are read from disk as the call is built, which the event loop need not wait for.
        return await self._ask(await asyncio.to_thread(build, *args, **kwargs))

    async def _ask(self, call: Call[T]) -> T:
        steps = exchange(call, self._address, self._retries)
        outcome: Outcome = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                answer: T = end.value
                return answer
            outcome = await self._take(step)

    async def _take(self, step: Step) -> Outcome:
        if isinstance(step, Wait):
            await self._sleep(step.seconds)
            return None
        try:
            return await self._http.send(step)
        except httpx2.RequestError as error:
            return error
