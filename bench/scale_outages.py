"""What bench/scale.py does to the service under load, and how long anybody notices."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fault_ledger import Ledger, read_ledger
from scale_ledger import differences
from scale_replicas import Fleet
from scale_writers import Asker, Failure, Reader, Writer

N_WRITERS = 4
RESIDENT = "resident"
"""Whom the readers read."""
QUIET_S = 3.0
"""Of load without a fault, before each."""
GRACE_S = 1.0
"""Longer than a fault itself takes, errors may last no more than this."""


@dataclass(frozen=True)
class Outage:
    """Seconds of `time.monotonic`: from when it was begun until what was ended is back."""

    what: str
    replica: int | None
    """The only one that may fail; None where all may."""
    begin_s: float
    end_s: float

    def excuses(self, failure: Failure) -> bool:
        return self.replica in (None, failure.replica) and self.begin_s <= failure.failed_s <= self.end_s + GRACE_S

    def told(self, failures: Sequence[Failure]) -> str:
        excused = [failure for failure in failures if self.excuses(failure)]
        lasted_s = max((failure.failed_s for failure in excused), default=self.begin_s) - self.begin_s
        return (
            f"{self.what}: back after {self.end_s - self.begin_s:.2f} s, the last of {len(excused)} errors after "
            f"{lasted_s:.2f} s"
        )


@dataclass
class Endured:
    """What came of all faults together. `errors` begin with their kind: lost, resurrected, twice, stale, wrong_answer."""

    outages: list[Outage] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    n_acknowledged: int = 0

    def told(self) -> str:
        return "; ".join(outage.told(self.failures) for outage in self.outages)

    def unexcused(self) -> list[str]:
        """Failures that no fault explains, or that last longer than it."""
        return [
            f"unexcused: replica {one.replica} failed {one.failed_s - self.outages[0].begin_s:.2f} s after the first fault "
            f"began, in a request that took {one.failed_s - one.sent_s:.2f} s: {one.what}"
            for one in self.failures
            if not any(outage.excuses(one) for outage in self.outages)
        ]


def endure(fleet: Fleet, clips: Mapping[str, bytes], n_rounds: int, seed: int) -> Endured:
    """In each round a replica is killed (SIGKILL) and started anew, and PostgreSQL is restarted, while clients write and
    read at all replicas.
    """
    headers = fleet.authorization("faults")
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger")
        ports = [replica.port for replica in fleet.replicas]
        fleet.make_speaker(RESIDENT, headers)
        askers: list[Asker] = [
            Writer(number, ports, headers, ledger, clips, f"{seed}") for number in range(1, N_WRITERS + 1)
        ]
        askers += [Reader(number, ports, headers, RESIDENT) for number in range(len(ports))]
        endured = _endured(fleet, askers, n_rounds, random.Random(seed))
        endured.n_acknowledged = ledger.n_acknowledged
        ledger.close()
        endured.errors += differences(fleet, headers, ledger, clips, {RESIDENT})
        replayed = read_ledger(Path(folder) / "ledger", Path(folder) / "scratch")
        replayed.close()
        if (replayed.lives, replayed.gone) != (ledger.lives, ledger.gone):
            endured.errors.append("wrong_answer: the ledger on the disk is not the one in memory")
    return endured


def _endured(fleet: Fleet, askers: Sequence[Asker], n_rounds: int, rng: random.Random) -> Endured:
    endured = Endured()
    for asker in askers:
        asker.start()
    try:
        for _ in range(n_rounds):
            time.sleep(QUIET_S + rng.random())  # the load that each fault meets, and its random moment
            endured.outages.append(_kill(fleet, rng.randrange(len(fleet.replicas))))
            time.sleep(QUIET_S + rng.random())  # the same for the next one
            endured.outages.append(_restart(fleet))
        time.sleep(QUIET_S)  # what comes after the last fault is asked for too
    finally:
        for asker in askers:
            asker.end()
        for asker in askers:
            asker.join()
    for asker in askers:
        endured.failures += asker.failures
        endured.errors += asker.errors
    return endured


def _kill(fleet: Fleet, number: int) -> Outage:
    replica, begin_s = fleet.replicas[number], time.monotonic()
    replica.kill()
    replica.start()
    replica.wait()
    return Outage(f"replica {number} killed", number, begin_s, time.monotonic())


def _restart(fleet: Fleet) -> Outage:
    begin_s = time.monotonic()
    fleet.server.stop()
    fleet.server.start()
    return Outage("PostgreSQL restarted", None, begin_s, time.monotonic())
