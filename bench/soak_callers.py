"""Callers who do all that callers do to the service, and know what each answer must be.

Every caller has speakers of its own, so that it knows what is stored whatever the others do meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from http_client import FORM, Answer, Connection, form, open_connection, request, upload
from soak_clips import Library

MAX_SPEAKERS = 4
MAX_ENROLLMENTS = 4
VOICES = ("a", "b")
JSON = "application/json"


@dataclass
class Tally:
    """Of all callers together."""

    n_requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    n_left: int = 0
    """Requests whose callers hung up, which have no answer."""
    errors: list[str] = field(default_factory=list)


@dataclass
class _Speaker:
    voice: str
    is_enrolled: bool = False
    enrollments: list[str] = field(default_factory=list)


class Caller:
    """One client. `call` makes a request, or a few that belong together."""

    def __init__(self, number: int, port: int, clips: Library, tally: Tally, seed: int) -> None:
        self._number, self._port, self._clips, self._tally = number, port, clips, tally
        self._rng = random.Random(1000 * seed + number)
        self._connection: Connection | None = None
        self._n_speakers = 0
        self.speakers: dict[str, _Speaker] = {}
        self._calls: dict[Callable[[], Awaitable[None]], float] = {
            self._compare: 22,
            self._identify: 14,
            self._verify: 14,
            self._create: 5,
            self._enroll: 9,
            self._enroll_what_is_no_voice: 2,
            self._enroll_another_voice: 2,
            self._read: 8,
            self._change: 2,
            self._remove_enrollment: 4,
            self._erase: 4,
            self._upload_what_is_unreadable: 6,
            self._send_what_is_no_form: 4,
            self._leave_half_way: 3,
            self._leave_before_the_answer: 3,
            self._leave_an_enrollment: 1,
        }

    async def call(self) -> None:
        await self._rng.choices(list(self._calls), list(self._calls.values()))[0]()

    def leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    # --- what is heard

    async def _compare(self) -> None:
        await self._ask("compare", self._pair(self._clip(), self._clip()), 200)

    async def _identify(self) -> None:
        data = self._clip() if self._rng.random() < 0.95 else self._clips.silent
        await self._ask("identify", upload("/v1/identify", [("audio", data)], {"top_k": "3"}), 200)

    async def _verify(self) -> None:
        speaker_id = self._any_speaker() or "nobody"
        speaker = self.speakers.get(speaker_id)
        expected = 404 if speaker is None else 200 if speaker.is_enrolled else 409
        sent = upload(f"/v1/speakers/{speaker_id}/verify", [("audio", self._clip())])
        await self._ask("verify", sent, expected)

    async def _upload_what_is_unreadable(self) -> None:
        name, data, status = self._clips.bad(self._rng)
        pair = (data, self._clip()) if self._rng.random() < 0.5 else (self._clip(), data)
        await self._ask(f"compare with {name}", self._pair(*pair), status)

    async def _send_what_is_no_form(self) -> None:
        clip = self._clip()
        whole = form([("audio_a", clip), ("audio_b", clip)])
        name, sent = self._rng.choice(
            [
                ("one file of two", upload("/v1/compare", [("audio_a", clip)])),
                ("a file too many", upload("/v1/compare", [(f"audio_{x}", clip) for x in "abc"])),
                ("no such point", upload("/v1/compare", [("audio_a", clip)], {"operating_point": "none"})),
                ("a form cut off", request("POST", "/v1/compare", whole[: len(whole) // 2], FORM)),
                ("no form", request("POST", "/v1/identify", clip, "audio/wav")),
                ("no number", upload("/v1/identify", [("audio", clip)], {"top_k": "many"})),
            ]
        )
        await self._ask(name, sent, 422)

    # --- speakers

    async def _create(self) -> None:
        if len(self.speakers) == MAX_SPEAKERS:
            await self._erase()
        self._n_speakers += 1
        speaker_id = f"caller-{self._number}-{self._n_speakers}"
        if await self._ask("create", _speaker(speaker_id), 201):
            self.speakers[speaker_id] = _Speaker(self._rng.choice(VOICES))
        await self._ask("create again", _speaker(speaker_id), 409)

    async def _enroll(self) -> None:
        room = {name: s for name, s in self.speakers.items() if len(s.enrollments) < MAX_ENROLLMENTS}
        if not room:
            await self._create()
            return
        speaker_id = self._rng.choice(list(room))
        speaker = room[speaker_id]
        n_clips = self._rng.choice((1, 1, 2))
        sent = [("audio", self._clips.to_enroll(self._rng, speaker.voice).data) for _ in range(n_clips)]
        answer = await self._ask("enroll", upload(_enrollments(speaker_id), sent), 201)
        if answer is not None:
            told = json.loads(answer.body)
            speaker.enrollments += [one["enrollment_id"] for one in told["enrollments"]]
            speaker.is_enrolled = told["speaker"]["status"] == "enrolled"

    async def _enroll_what_is_no_voice(self) -> None:
        speaker_id = self._any_speaker()
        path = _enrollments(speaker_id or "nobody")
        await self._ask("enroll silence", upload(path, [("audio", self._clips.silent)]), 422 if speaker_id else 404)

    async def _enroll_another_voice(self) -> None:
        speaker_id = next((name for name, s in self.speakers.items() if s.enrollments), None)
        if speaker_id is None:
            return
        (other,) = set(VOICES) - {self.speakers[speaker_id].voice}
        sent = upload(_enrollments(speaker_id), [("audio", self._clips.to_enroll(self._rng, other).data)])
        await self._ask("enroll another voice", sent, 422)

    async def _read(self) -> None:
        await self._ask("list speakers", request("GET", "/v1/speakers?limit=20"), 200)
        if speaker_id := self._any_speaker():
            answer = await self._ask("list enrollments", request("GET", _enrollments(speaker_id)), 200)
            if answer is not None:
                stored = [one["enrollment_id"] for one in json.loads(answer.body)["enrollments"]]
                if stored != self.speakers[speaker_id].enrollments:
                    self._tally.errors.append(
                        f"{speaker_id} has the enrollments {stored}, not {self.speakers[speaker_id]}"
                    )

    async def _change(self) -> None:
        if speaker_id := self._any_speaker():
            body = json.dumps({"metadata": {"n": self._rng.randrange(1000)}}).encode()
            await self._ask("change", request("PATCH", f"/v1/speakers/{speaker_id}", body, JSON), 200)

    async def _remove_enrollment(self) -> None:
        speaker_id = next((name for name, s in self.speakers.items() if s.enrollments), None)
        if speaker_id is None:
            return
        speaker = self.speakers[speaker_id]
        enrollment_id = self._rng.choice(speaker.enrollments)
        path = f"{_enrollments(speaker_id)}/{enrollment_id}"
        if await self._ask("remove", request("DELETE", path), 204):
            speaker.enrollments.remove(enrollment_id)
        await self._ask("remove again", request("DELETE", path), 404)
        answer = await self._ask("read", request("GET", f"/v1/speakers/{speaker_id}"), 200)
        speaker.is_enrolled = answer is not None and json.loads(answer.body)["status"] == "enrolled"

    async def _erase(self) -> None:
        if speaker_id := self._any_speaker():
            await self._ask("erase", request("DELETE", f"/v1/speakers/{speaker_id}"), 204)
            await self._ask("read who is erased", request("GET", f"/v1/speakers/{speaker_id}"), 404)
            del self.speakers[speaker_id]

    async def erase_all(self) -> None:
        while self.speakers:
            await self._erase()

    # --- callers who leave

    async def _leave_half_way(self) -> None:
        sent = self._pair(self._clip(), self._clip())
        await self._hang_up(sent[: self._rng.randrange(1, len(sent))], 0.0)

    async def _leave_before_the_answer(self) -> None:
        sent = self._pair(self._clip(), self._clip())
        if self._rng.random() < 0.5:
            sent = upload("/v1/identify", [("audio", self._clip())])
        await self._hang_up(sent, self._rng.uniform(0.0, 0.03))

    async def _leave_an_enrollment(self) -> None:
        """Whether it was stored nobody can tell who left; what must hold is that it goes with its speaker."""
        speaker_id = f"caller-{self._number}-left-{self._tally.n_requests}"
        await self._ask("create", _speaker(speaker_id), 201)
        sent = upload(_enrollments(speaker_id), [("audio", self._clips.to_enroll(self._rng, "a").data)])
        await self._hang_up(sent, self._rng.uniform(0.0, 0.1))
        await self._ask("erase", request("DELETE", f"/v1/speakers/{speaker_id}"), 204)
        await self._ask("read who is erased", request("GET", f"/v1/speakers/{speaker_id}"), 404)

    async def _hang_up(self, sent: bytes, after_s: float) -> None:
        self._tally.n_requests += 1
        self._tally.n_left += 1
        connection = await open_connection(self._port)
        connection.write(sent)
        await asyncio.sleep(after_s)
        connection.close()

    # --- asking

    async def _ask(self, what: str, sent: bytes, expected: int) -> Answer | None:
        """The answer, where its status is the one that was expected; None, and an error in the tally, where not."""
        self._tally.n_requests += 1
        try:
            answer = await self._answer(sent)
        except OSError as error:
            self._tally.errors.append(f"{what}: {expected} was expected, and there was no answer: {error}")
            return None
        self._tally.statuses[answer.status] += 1
        if answer.status != expected:
            said = answer.body[:300].decode(errors="replace")
            self._tally.errors.append(f"{what}: {expected} was expected, and {answer.status} came: {said}")
            return None
        return answer

    async def _answer(self, sent: bytes) -> Answer:
        if self._connection is None or not self._connection.is_open:
            self._connection = await open_connection(self._port)
        return await self._connection.ask(sent)

    def _pair(self, a: bytes, b: bytes) -> bytes:
        return upload("/v1/compare", [("audio_a", a), ("audio_b", b)])

    def _clip(self) -> bytes:
        return self._clips.any(self._rng).data

    def _any_speaker(self) -> str | None:
        return self._rng.choice(list(self.speakers)) if self.speakers else None


def _speaker(speaker_id: str) -> bytes:
    return request("POST", "/v1/speakers", json.dumps({"speaker_id": speaker_id}).encode(), JSON)


def _enrollments(speaker_id: str) -> str:
    return f"/v1/speakers/{speaker_id}/enrollments"


async def all_at_once(callers: Iterable[Caller], tally: Tally, until_n_requests: int) -> None:
    """Every caller calls until that many requests were made by all of them, and leaves."""

    async def keep_calling(caller: Caller) -> None:
        while tally.n_requests < until_n_requests:
            await caller.call()
        caller.leave()

    await asyncio.gather(*(keep_calling(caller) for caller in callers))
