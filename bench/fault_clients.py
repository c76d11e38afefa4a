"""Clients of bench/faults.py: they write all that can be written, and note it in the ledger first."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fault_ledger import Intent, Ledger, voice_of
from http_client import FORM, form
from running import HOST

TIMEOUT_S = 60.0
MAX_SPEAKERS = 3
MAX_ENROLLMENTS = 4
JSON = "application/json"


@dataclass(frozen=True)
class Told:
    status: int
    body: Any


class Wire:
    """One connection to the service, opened when it is needed."""

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        """`headers` go with every request."""
        self._connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
        self._headers = dict(headers or {})

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Told:
        """Raises OSError or HTTPException where no whole answer comes."""
        self._connection.request(method, path, body or None, self._headers | dict(headers or {}))
        answer = self._connection.getresponse()
        content = answer.read()
        return Told(answer.status, json.loads(content) if content else None)

    def upload(self, path: str, clips: list[bytes], texts: Mapping[str, str] | None = None, key: str = "") -> Told:
        headers = {"Content-Type": FORM} | ({"Idempotency-Key": key} if key else {})
        return self.ask("POST", path, form([("audio", clip) for clip in clips], texts), headers)

    def close(self) -> None:
        self._connection.close()


class Client(threading.Thread):
    """Writes until the service leaves. `pending` is then what it was not told the outcome of."""

    def __init__(self, number: int, port: int, ledger: Ledger, clips: Mapping[str, bytes], seed: str) -> None:
        super().__init__(name=f"client {number}")
        self.pending: Intent | None = None
        self.errors: list[str] = []
        self._number, self._ledger, self._clips = number, ledger, clips
        self._rng = random.Random(seed)
        self._wire = Wire(port)
        self._seed = seed
        self._n_keys = 0

    def run(self) -> None:
        try:
            while not self.errors:
                if self._rng.random() < 0.15:
                    voice = self._rng.choice(sorted(self._clips))
                    self._wire.upload("/v1/identify", [self._clips[voice]], {"top_k": "5"})
                    continue
                self.pending = self._ledger.intend(self._next())
                if carry_out(self.pending, self._wire, self._ledger, self._clips, self.errors):
                    self.pending = None
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        finally:
            self._wire.close()

    def _next(self) -> Intent:
        self._n_keys += 1
        return next_intent(self._number, self._ledger, self._clips, self._rng, f"{self._seed}-{self._n_keys}")


def next_intent(number: int, ledger: Ledger, clips: Mapping[str, bytes], rng: random.Random, key: str) -> Intent:
    """What the client of this number, whose speakers are nobody else's, may do next."""
    mine = {name: life for name, life in ledger.lives.items() if name.split("-")[1] == str(number)}
    if not mine or (len(mine) < MAX_SPEAKERS and rng.random() < 0.3):
        free = [f"{voice}-{number}-{slot}" for voice in "ab" for slot in range(MAX_SPEAKERS)]
        # Often an id that somebody had who was erased: whoever has it now must stay.
        return Intent(0, "create", rng.choice([one for one in free if one not in mine]), key)
    speaker_id = rng.choice(sorted(mine))
    life = mine[speaker_id]
    draw = rng.random()
    if len(life.enrollments) < MAX_ENROLLMENTS and draw < 0.55:
        own = [name for name in sorted(clips) if name.startswith(voice_of(speaker_id))]
        return Intent(0, "enroll", speaker_id, key, tuple(rng.sample(own, rng.choice((1, 2, 2, 3)))))
    if life.enrollments and draw < 0.7:
        return Intent(0, "take_back", speaker_id, enrollment_id=rng.choice(life.enrollments))
    if draw < 0.85:
        return Intent(0, "change", speaker_id, value=rng.randrange(1, 1_000_000))
    return Intent(0, "erase", speaker_id)


def carry_out(
    intent: Intent, wire: Wire, ledger: Ledger, clips: Mapping[str, bytes], errors: list[str], *, again: bool = False
) -> bool:
    """Sends the request, and notes its answer in the ledger. `again` where it may have been carried out before.

    False where the answer is not what it must be, which is then in `errors`.
    """
    told = send(intent, wire, clips)
    if not note(intent, told, ledger, again=again):
        errors.append(f"wrong_answer: {intent} was answered with {told}")
        return False
    return True


def send(intent: Intent, wire: Wire, clips: Mapping[str, bytes]) -> Told:
    """Raises OSError or HTTPException where no whole answer comes."""
    path = f"/v1/speakers/{intent.speaker_id}"
    match intent.operation:
        case "create":
            body = json.dumps({"speaker_id": intent.speaker_id, "metadata": {"n": 0}}).encode()
            return wire.ask("POST", "/v1/speakers", body, {"Content-Type": JSON, "Idempotency-Key": intent.key})
        case "enroll":
            return wire.upload(f"{path}/enrollments", [clips[name] for name in intent.clips], key=intent.key)
        case "change":
            return wire.ask(
                "PATCH", path, json.dumps({"metadata": {"n": intent.value}}).encode(), {"Content-Type": JSON}
            )
        case "take_back":
            return wire.ask("DELETE", f"{path}/enrollments/{intent.enrollment_id}")
        case "erase":
            return wire.ask("DELETE", path)


def note(intent: Intent, told: Told, ledger: Ledger, *, again: bool = False) -> bool:
    """Whether the answer is what it must be; it is in the ledger then."""
    ids: list[str] = []
    match intent.operation:
        case "create":
            is_right = told.status == 201
        case "enroll":
            is_right = told.status == 201 and len(told.body["enrollments"]) == len(intent.clips)
            ids = [one["enrollment_id"] for one in told.body["enrollments"]] if is_right else []
        case "change":
            is_right = told.status == 200
        case "take_back" | "erase":
            is_right = told.status == 204 or (again and told.status == 404)
    if is_right:
        ledger.acknowledge(intent, ids)
    return is_right
