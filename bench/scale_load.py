"""The load under which bench/scale.py checks: callers who write and ask elsewhere, and bystanders who ask all the while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence

from http_client import upload
from scale_reads import ENROLLED, PROBE, Caller, Connections, Headers, Tally, said

MAX_ERRORS = 100
KNOWN = "known"
"""The speaker whom bystanders verify."""


class Bystander:
    """Compares, verifies and identifies at whichever replica, all the while: the load that the checks are made under."""

    def __init__(
        self, number: int, ports: Sequence[int], headers: Headers, clips: Mapping[str, bytes], tally: Tally, seed: int
    ) -> None:
        """`KNOWN` must be enrolled."""
        self._connections = Connections(ports, random.Random(f"{seed}-bystander-{number}"))
        self._tally = tally
        a, b = clips[ENROLLED[0]], clips[PROBE]
        self._asked = [
            upload("/v1/compare", [("audio_a", a), ("audio_b", b)], headers=headers),
            upload(f"/v1/speakers/{KNOWN}/verify", [("audio", b)], headers=headers),
            upload("/v1/identify", [("audio", b)], headers=headers),
        ]

    async def stand_by(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            for sent in self._asked:
                await self._ask(sent)
        self._connections.close()

    async def _ask(self, sent: bytes) -> None:
        try:
            answer = await self._connections.ask(self._connections.anywhere(), sent)
        except OSError as error:
            self._tally.errors.append(f"a bystander had no answer: {error}")
            return
        self._tally.n_background += 1
        if answer.status != 200:
            self._tally.errors.append(f"a bystander was answered {answer.status}: {said(answer)}")


async def all_at_once(callers: Sequence[Caller], bystanders: Sequence[Bystander], tally: Tally, n_checks: int) -> None:
    """Until so many checks were made, or so much went wrong that no more are needed."""
    n_calling = len(callers)

    async def keep_calling(caller: Caller) -> None:
        nonlocal n_calling
        try:
            while tally.n_checks < n_checks and len(tally.errors) < MAX_ERRORS:
                await caller.call()
        finally:
            n_calling -= 1
            caller.leave()

    await asyncio.gather(
        *(keep_calling(caller) for caller in callers),
        *(one.stand_by(lambda: n_calling > 0) for one in bystanders),
    )
