"""Does the service have what it must have, and nothing else? What bench/faults.py asks after every kill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fault_clients import Wire, carry_out
from fault_databases import FaultDatabase
from fault_ledger import Intent, Ledger, Life

from app.adapters.audit_reading import open_trail

WRITTEN = frozenset({"created", "changed", "enrolled", "enrolled before", "erased"})
"""What the audit trail says of a write that was carried out."""
SCORE_TOLERANCE = 1e-4
"""Between a verification and an identification of one clip and one speaker."""


@dataclass
class Seen:
    """A speaker as the service tells it."""

    value: int
    enrollments: tuple[str, ...]
    status: str


class Check:
    """`errors` are sentences that begin with their kind: lost, resurrected, half_done, twice, wrong_answer, unsound."""

    def __init__(self, port: int, database: FaultDatabase, ledger: Ledger, clips: Mapping[str, bytes]) -> None:
        self.errors: list[str] = []
        self._database, self._ledger, self._clips = database, ledger, clips
        self._wire = Wire(port)

    def everything(self, pending: Sequence[Intent]) -> None:
        """First as the service was found, then with what was pending repeated."""
        self.errors += self._database.unsound(len(self._ledger.erased))
        self._trail()
        seen = self._all()
        of = {intent.speaker_id: intent for intent in pending}
        for name in {*seen, *self._ledger.lives, *self._ledger.erased, *of}:
            self._speaker(name, seen.get(name), of.get(name))
        for intent in pending:
            self._repeat(intent, seen.get(intent.speaker_id))
        self._gallery(self._all())
        self._wire.close()

    def _speaker(self, name: str, seen: Seen | None, pending: Intent | None) -> None:
        life = self._ledger.lives.get(name)
        if seen is not None and (back := self._ledger.gone & set(seen.enrollments)):
            self.errors.append(f"resurrected: {name} has the enrollments {sorted(back)} again")
        allowed = [life, *([self._ledger.after(pending)] if pending else [])]
        if any(_is(seen, one) for one in allowed) and not (pending and pending.operation == "enroll"):
            return
        if pending and pending.operation == "enroll" and seen is not None and life is not None:
            n_new = len(seen.enrollments) - len(life.enrollments)
            if seen.enrollments[: len(life.enrollments)] == life.enrollments and n_new in (0, len(pending.clips)):
                return
            is_half = 0 < n_new < len(pending.clips)
            kind = "half_done" if is_half else "lost" if n_new < 0 else "twice"
        elif life is None and seen is not None:
            kind = "resurrected" if name in self._ledger.erased else "half_done"
        elif seen is None or life is None:
            kind = "lost"
        else:
            kind = "lost" if set(life.enrollments) - set(seen.enrollments) or seen.value != life.value else "twice"
        self.errors.append(f"{kind}: {name} is {seen}, and {life} was acknowledged before {pending}")

    def _repeat(self, intent: Intent, seen: Seen | None) -> None:
        """The very request again: it is carried out once, whether it had been or not."""
        before = self._ledger.lives.get(intent.speaker_id)
        if not carry_out(intent, self._wire, self._ledger, self._clips, self.errors, again=True):
            return
        now, life = self._one(intent.speaker_id), self._ledger.lives.get(intent.speaker_id)
        if not _is(now, life):
            self.errors.append(f"twice: {intent.speaker_id} is {now} after a repeated {intent}, and not {life}")
        was_done = intent.operation == "enroll" and seen and before and len(seen.enrollments) > len(before.enrollments)
        if was_done and seen and now and now.enrollments != seen.enrollments:
            self.errors.append(f"twice: {intent.speaker_id} had {seen}, and a repeat made it {now}")
        if intent.operation in ("create", "enroll"):
            # Once more, now that it surely was carried out.
            again = self._asked_again(intent)
            if not _is(self._one(intent.speaker_id), life) or again != 201:
                self.errors.append(f"twice: {intent} repeated was answered with {again} and changed {life}")

    def _asked_again(self, intent: Intent) -> int:
        if intent.operation == "enroll":
            path = f"/v1/speakers/{intent.speaker_id}/enrollments"
            return self._wire.upload(path, [self._clips[name] for name in intent.clips], key=intent.key).status
        body = f'{{"speaker_id": "{intent.speaker_id}", "metadata": {{"n": 0}}}}'.encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": intent.key}
        return self._wire.ask("POST", "/v1/speakers", body, headers).status

    def _all(self) -> dict[str, Seen]:
        found, cursor = {}, ""
        while True:
            page = self._wire.ask("GET", f"/v1/speakers?limit=200{cursor}").body
            for speaker in page["speakers"]:
                name = speaker["speaker_id"]
                if name in found:
                    self.errors.append(f"twice: {name} is in the list twice")
                one = self._one(name)
                if one is None or len(one.enrollments) != speaker["enrollment_count"]:
                    self.errors.append(f"half_done: {name} is listed as {speaker}, and is {one}")
                else:
                    found[name] = one
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        for name in self._ledger.erased - set(found):
            if (one := self._one(name)) is not None:
                found[name] = one
        return found

    def _one(self, name: str) -> Seen | None:
        speaker = self._wire.ask("GET", f"/v1/speakers/{name}")
        enrollments = self._wire.ask("GET", f"/v1/speakers/{name}/enrollments")
        if {speaker.status, enrollments.status} == {404}:
            return None
        if (speaker.status, enrollments.status) != (200, 200):
            self.errors.append(f"wrong_answer: {name} is answered with {speaker} and {enrollments}")
            return None
        ids = tuple(one["enrollment_id"] for one in enrollments.body["enrollments"])
        return Seen(speaker.body["metadata"]["n"], ids, speaker.body["status"])

    def _gallery(self, seen: Mapping[str, Seen]) -> None:
        """Whoever is enrolled can be found, nobody else is, and by the score that a verification has."""
        clip = self._clips[sorted(self._clips)[0]]
        told = self._wire.upload("/v1/identify", [clip], {"top_k": "100"}).body
        scores = {one["speaker_id"]: one["score"] for one in told["candidates"]}
        enrolled = {name for name, one in seen.items() if one.status == "enrolled"}
        if back := set(scores) & self._ledger.erased:
            self.errors.append(f"resurrected: {sorted(back)} are candidates")
        if set(scores) != enrolled:
            self.errors.append(f"gallery: candidates are {sorted(scores)}, and enrolled are {sorted(enrolled)}")
        for name in sorted(scores)[:2]:
            verified = self._wire.upload(f"/v1/speakers/{name}/verify", [clip])
            if verified.status != 200 or abs(verified.body["score"] - scores[name]) > SCORE_TOLERANCE:
                self.errors.append(f"gallery: {name} has the score {scores[name]}, and verified {verified}")

    def _trail(self) -> None:
        trail = open_trail(self._database.settings)
        if problem := trail.check().problem:
            self.errors.append(f"unsound: the audit trail: {problem}")
        n_told = sum(entry["outcome"] in WRITTEN for entry in trail.entries())
        if n_told < self._ledger.n_acknowledged:
            self.errors.append(f"lost: the audit trail tells of {n_told} of {self._ledger.n_acknowledged} writes")


def _is(seen: Seen | None, life: Life | None) -> bool:
    if seen is None or life is None:
        return seen is None and life is None
    return (seen.value, seen.enrollments) == (life.value, life.enrollments)
