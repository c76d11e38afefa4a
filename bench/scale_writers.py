"""Clients of bench/scale.py's faults: they go on at another replica where one fails, and note when anything failed."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fault_clients import Told, Wire, next_intent, note, send
from fault_ledger import Intent, Ledger

PAUSE_S = 0.02
"""After a failure, as a client that means well waits."""
GIVE_UP_S = 90.0
OUT = 503


@dataclass(frozen=True)
class Failure:
    """A request that was not carried out, as far as its client can tell. Seconds of `time.monotonic`."""

    replica: int
    sent_s: float
    failed_s: float
    what: str


class Asker(threading.Thread):
    """Connections to all replicas, until it is told to end. `errors` are answers that nobody may get, whatever fails."""

    def __init__(self, name: str, ports: Sequence[int], headers: Mapping[str, str], seed: str) -> None:
        super().__init__(name=name)
        self.failures: list[Failure] = []
        self.errors: list[str] = []
        self._wires = [Wire(port, headers) for port in ports]
        self._rng = random.Random(seed)
        self._end = threading.Event()

    def end(self) -> None:
        self._end.set()

    def run(self) -> None:
        try:
            while not self._end.is_set() and not self.errors:
                self._turn()
        except TimeoutError as error:
            self.errors.append(f"wrong_answer: {error}")
        for wire in self._wires:
            wire.close()

    def _turn(self) -> None:
        raise NotImplementedError

    def _ask(self, replica: int, asking: Callable[[Wire], Told]) -> Told | None:
        """None for a failure: a 503, or no answer."""
        wire, sent_s = self._wires[replica], time.monotonic()
        try:
            told = asking(wire)
            if told.status != OUT:
                return told
            what = f"503 {told.body}"
        except (OSError, http.client.HTTPException) as error:
            wire.close()
            what = repr(error)
        self.failures.append(Failure(replica, sent_s, time.monotonic(), what))
        time.sleep(PAUSE_S)
        return None


class Reader(Asker):
    """Reads one speaker at one replica, again and again."""

    def __init__(self, replica: int, ports: Sequence[int], headers: Mapping[str, str], speaker_id: str) -> None:
        super().__init__(f"reader {replica}", ports, headers, "")
        self._replica, self._path = replica, f"/v1/speakers/{speaker_id}"

    def _turn(self) -> None:
        told = self._ask(self._replica, lambda wire: wire.ask("GET", self._path))
        if told is not None and told.status != 200:
            self.errors.append(f"wrong_answer: replica {self._replica} answered {told} to a read")
        time.sleep(PAUSE_S)


class Writer(Asker):
    """Writes until it is acknowledged, wherever, and reads elsewhere what it wrote."""

    def __init__(
        self,
        number: int,
        ports: Sequence[int],
        headers: Mapping[str, str],
        ledger: Ledger,
        clips: Mapping[str, bytes],
        seed: str,
    ) -> None:
        super().__init__(f"writer {number}", ports, headers, f"{seed}-{number}")
        self._number, self._ledger, self._clips, self._seed = number, ledger, clips, seed
        self._n_keys = 0

    def _turn(self) -> None:
        self._n_keys += 1
        key = f"{self._seed}-{self._number}-{self._n_keys}"
        intent = self._ledger.intend(next_intent(self._number, self._ledger, self._clips, self._rng, key))
        at, told, n_failed = self._somewhere(lambda wire: send(intent, wire, self._clips), None)
        if not note(intent, told, self._ledger, again=n_failed > 0):
            self.errors.append(
                f"wrong_answer: {intent} was answered with {told} by replica {at} after {n_failed} failures"
            )
            return
        self._read_back(intent, at)

    def _read_back(self, intent: Intent, at: int) -> None:
        path = f"/v1/speakers/{intent.speaker_id}"
        where, told, _ = self._somewhere(lambda wire: wire.ask("GET", path), at)
        life = self._ledger.lives.get(intent.speaker_id)
        seen = None if told.status == 404 else (told.body["metadata"]["n"], told.body["enrollment_count"])
        if seen != (None if life is None else (life.value, len(life.enrollments))):
            self.errors.append(f"stale: replica {where} says {told} after replica {at} had acknowledged {intent}")

    def _somewhere(self, asking: Callable[[Wire], Told], but: int | None) -> tuple[int, Told, int]:
        """Which replica answered, what, and how many had failed before. Raises TimeoutError where none does in the end."""
        deadline_s = time.monotonic() + GIVE_UP_S
        n_failed = 0
        while time.monotonic() < deadline_s:
            replica = self._rng.choice([one for one in range(len(self._wires)) if one != but])
            told = self._ask(replica, asking)
            if told is not None:
                return replica, told, n_failed
            n_failed += 1
        raise TimeoutError(f"no replica answered within {GIVE_UP_S:g} s; the last failure was {self.failures[-1]}")
