"""What one replica has acknowledged, another one knows: callers of bench/scale.py who write at one and ask another at once."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from http_client import Answer, Connection, open_connection, request, upload

JSON = "application/json"
TOP_K = "100"
ENROLLED = ("a1", "a2")
PROBE = "a3"
"""Of the same voice, from another recording."""
Headers = Mapping[str, str]
Holds = Callable[[Any], bool]


@dataclass
class Tally:
    """Of all callers together."""

    checks: Counter[str] = field(default_factory=Counter)
    stale: list[str] = field(default_factory=list)
    """Reads that did not know of a write that was acknowledged before they were sent."""
    errors: list[str] = field(default_factory=list)
    """Writes that were not done."""
    n_background: int = 0

    @property
    def n_checks(self) -> int:
        return self.checks.total()


class NotDone(Exception):
    """A write that was not done, so that there is nothing to ask for."""


class Connections:
    """A caller's, one to each replica. `at` is the replica that did its last write."""

    def __init__(self, ports: Sequence[int], rng: random.Random) -> None:
        self.at = 0
        self._ports, self._rng = ports, rng
        self._open: dict[int, Connection] = {}

    def anywhere(self) -> int:
        return self._rng.randrange(len(self._ports))

    def elsewhere(self) -> int:
        return (self.at + self._rng.randrange(1, len(self._ports))) % len(self._ports)

    def others(self) -> list[int]:
        return [one for one in range(len(self._ports)) if one != self.at]

    async def ask(self, replica: int, sent: bytes) -> Answer:
        connection = self._open.get(replica)
        if connection is not None and connection.is_open:
            try:
                return await connection.ask(sent)
            except ConnectionError:
                pass  # it was idle, and the server closed it as the request left, as any server may
        connection = self._open[replica] = await open_connection(self._ports[replica])
        return await connection.ask(sent)

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()


class Caller:
    """One client. `call` writes a few things that belong together, each anywhere, and asks elsewhere after each."""

    def __init__(
        self, number: int, ports: Sequence[int], headers: Headers, clips: Mapping[str, bytes], tally: Tally, seed: int
    ) -> None:
        """`headers` are those of a key that may do everything."""
        self._rng = random.Random(f"{seed}-{number}")
        self._connections = Connections(ports, self._rng)
        self._number, self._headers, self._clips, self._tally = number, headers, clips, tally
        self._n_names = 0
        self._calls: dict[Callable[[], Awaitable[None]], float] = {self._profile: 65, self._key: 25, self._voice: 10}

    async def call(self) -> None:
        try:
            await self._rng.choices(list(self._calls), list(self._calls.values()))[0]()
        except (NotDone, OSError) as error:
            self._tally.errors.append(str(error))

    def leave(self) -> None:
        self._connections.close()

    async def _profile(self) -> None:
        name, repeatable = self._names()
        path = f"/v1/speakers/{name}"
        create = self._request("POST", "/v1/speakers", {"speaker_id": name, "metadata": {"n": 0}}, repeatable)
        made = await self._write("create", create, 201)
        await self._knows("create, get", self._request("GET", path), 200, lambda told: told == made)
        await self._knows("create, repeat", create, 201, lambda told: told == made)
        n = self._rng.randrange(1, 1_000_000)
        await self._write("change", self._request("PATCH", path, {"metadata": {"n": n}}), 200)
        await self._knows("change, get", self._request("GET", path), 200, lambda told: told["metadata"] == {"n": n})
        await self._write("erase", self._request("DELETE", path), 204)
        await self._everybody_knows("erase, get", self._request("GET", path), 404)

    async def _key(self) -> None:
        name, _ = self._names()
        made = await self._write(
            "make key", self._request("POST", "/v1/keys", {"name": name, "scopes": ["verify"]}), 201
        )
        question = request("GET", "/v1/model", headers={"Authorization": f"Bearer {made['key']}"})
        await self._everybody_knows("key, used", question, 200)
        await self._write("revoke", self._request("DELETE", f"/v1/keys/{made['about']['key_id']}"), 204)
        await self._everybody_knows("revoke, used", question, 401)

    async def _voice(self) -> None:
        name, repeatable = self._names()
        path = f"/v1/speakers/{name}"
        enrollments = self._request("GET", f"{path}/enrollments")
        verify = upload(f"{path}/verify", [("audio", self._clips[PROBE])], headers=self._headers)
        identify = upload("/v1/identify", [("audio", self._clips[PROBE])], {"top_k": TOP_K}, self._headers)
        enroll = upload(
            f"{path}/enrollments",
            [("audio", self._clips[clip]) for clip in ENROLLED],
            headers={**self._headers, **repeatable},
        )

        def named(told: Any) -> bool:
            return name in {one["speaker_id"] for one in told["candidates"]}

        await self._write("create", self._request("POST", "/v1/speakers", {"speaker_id": name}), 201)
        made = await self._write("enroll", enroll, 201)
        first, second = (one["enrollment_id"] for one in made["enrollments"])
        await self._knows("enroll, list", enrollments, 200, lambda told: _ids(told) == [first, second])
        await self._knows("enroll, repeat", enroll, 201, lambda told: _ids(told) == [first, second])
        await self._knows("enroll, verify", verify, 200, lambda told: told["decision"] == "accept")
        await self._knows("enroll, identify", identify, 200, named)
        await self._write("take back", self._request("DELETE", f"{path}/enrollments/{first}"), 204)
        await self._knows("take back, list", enrollments, 200, lambda told: _ids(told) == [second])
        await self._write("take back", self._request("DELETE", f"{path}/enrollments/{second}"), 204)
        await self._knows("take back, verify", verify, 409)
        await self._knows("take back, identify", identify, 200, lambda told: not named(told))
        again = upload(f"{path}/enrollments", [("audio", self._clips[ENROLLED[1]])], headers=self._headers)
        await self._write("enroll", again, 201)
        await self._knows("enroll, identify", identify, 200, named)
        await self._write("erase", self._request("DELETE", path), 204)
        await self._everybody_knows("erase, get", self._request("GET", path), 404)
        await self._knows("erase, verify", verify, 404)
        await self._knows("erase, identify", identify, 200, lambda told: not named(told))

    def _names(self) -> tuple[str, Headers]:
        """Of a new speaker or key, and the Idempotency-Key of its making."""
        self._n_names += 1
        name = f"reads-{self._number}-{self._n_names}"
        return name, {"Idempotency-Key": name}

    def _request(self, method: str, path: str, body: object = None, headers: Headers | None = None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        return request(method, path, content, JSON if content else None, {**self._headers, **(headers or {})})

    async def _write(self, what: str, sent: bytes, expected: int) -> Any:
        """The answer's body. Raises NotDone."""
        self._connections.at = self._connections.anywhere()
        answer = await self._connections.ask(self._connections.at, sent)
        if answer.status != expected:
            raise NotDone(f"{what}: {expected} was expected, and {answer.status} came: {said(answer)}")
        return json.loads(answer.body) if answer.body else None

    async def _knows(self, what: str, sent: bytes, expected: int, holds: Holds | None = None) -> None:
        """One other than the replica that wrote."""
        await self._check(self._connections.elsewhere(), what, sent, expected, holds)

    async def _everybody_knows(self, what: str, sent: bytes, expected: int) -> None:
        """Each of the others."""
        for replica in self._connections.others():
            await self._check(replica, what, sent, expected, None)

    async def _check(self, replica: int, what: str, sent: bytes, expected: int, holds: Holds | None) -> None:
        answer = await self._connections.ask(replica, sent)
        self._tally.checks[what] += 1
        if answer.status != expected or (holds is not None and not holds(json.loads(answer.body))):
            self._tally.stale.append(
                f"{what}: replica {replica} answered {answer.status} {said(answer)} after replica {self._connections.at} had "
                f"acknowledged the write; {expected} was due"
            )


def _ids(told: Any) -> list[str]:
    return [one["enrollment_id"] for one in told["enrollments"]]


def said(answer: Answer) -> str:
    """The begin of its body."""
    return answer.body[:300].decode(errors="replace")
