"""Does the service wear out? Tens of thousands of mixed requests, good and bad, and what they leave behind.

    python bench/soak.py [--requests 50000] [--clients 8] [--seed 1] [--json]

Callers compare, enrol, verify, identify, list, change and erase; send what is empty, cut off, silent, too long or no
recording; and hang up half-way. The status of each answer is held to what it must be. `memory_drift` is the mean
resident memory of the service and its children over the last tenth of the requests, over that of the second tenth;
descriptors and processes are counted after the first tenth and at the end, each time with nobody connected.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from processes import Footprint, footprint, sampled
from record import add_arguments, finish
from running import get, service
from soak_callers import Caller, Tally, all_at_once
from soak_clips import library

MIB = 1024 * 1024
N_ERRORS_SHOWN = 20
SETTLE_S = 30.0
LOG_ALARMS = ("Traceback", " ERROR ", " CRITICAL ")


@dataclass(frozen=True)
class Figures:
    memory_drift: float
    descriptors_first: int
    descriptors_last: int
    processes_first: int
    processes_last: int
    n_requests: int
    n_errors: int
    requests_per_s: float
    resident_first_mib: float
    resident_last_mib: float
    resident_most_mib: float


@dataclass(frozen=True)
class Sample:
    n_requests: int
    resident_bytes: int


@dataclass(frozen=True)
class Soaked:
    first: Footprint
    last: Footprint
    samples: Sequence[Sample]
    tally: Tally
    duration_s: float

    def figures(self) -> Figures:
        n = self.tally.n_requests
        second_tenth, last_tenth = (self._mean_resident(low * n, high * n) for low, high in ((0.1, 0.2), (0.9, 1.0)))
        return Figures(
            memory_drift=last_tenth / second_tenth,
            descriptors_first=self.first.n_descriptors,
            descriptors_last=self.last.n_descriptors,
            processes_first=self.first.n_processes,
            processes_last=self.last.n_processes,
            n_requests=n,
            n_errors=len(self.tally.errors),
            requests_per_s=n / self.duration_s,
            resident_first_mib=second_tenth / MIB,
            resident_last_mib=last_tenth / MIB,
            resident_most_mib=max(sample.resident_bytes for sample in self.samples) / MIB,
        )

    def _mean_resident(self, low: float, high: float) -> float:
        found = [sample.resident_bytes for sample in self.samples if low <= sample.n_requests <= high]
        if not found:
            raise SystemExit(f"no sample fell between the requests {low:.0f} and {high:.0f}; make more of them")
        return sum(found) / len(found)


def soak(n_requests: int, n_clients: int, seed: int, sample_s: float = 1.0) -> Soaked:
    """Against a service of its own. What is wrong is in the tally's errors."""
    clips, tally = library(seed), Tally()
    with tempfile.TemporaryFile() as log:
        with service(log=log) as vouch:
            callers = [Caller(number, vouch.port, clips, tally, seed) for number in range(n_clients)]
            begin_s = time.monotonic()

            def sample() -> Sample:
                return Sample(tally.n_requests, footprint(vouch.pid).resident_bytes)

            with asyncio.Runner() as runner, sampled(sample, sample_s) as samples:
                runner.run(all_at_once(callers, tally, n_requests // 10))
                first = _at_rest(vouch.pid, vouch.port)
                runner.run(all_at_once(callers, tally, n_requests))
                duration_s = time.monotonic() - begin_s
                last = _at_rest(vouch.pid, vouch.port)
            _check_what_is_stored(vouch.port, callers, tally)
        log.seek(0)
        said = log.read().decode(errors="replace")
    if any(alarm in said for alarm in LOG_ALARMS):
        tally.errors.append(f"the service's log has: {said[-3000:]}")
    return Soaked(first, last, samples, tally, duration_s)


def _at_rest(pid: int, port: int) -> Footprint:
    """Once the work of those who left has ended, and their connections are closed."""
    deadline_s = time.monotonic() + SETTLE_S
    before = footprint(pid)
    while time.monotonic() < deadline_s:
        time.sleep(0.5)  # another process: it tells nobody that it has come to rest
        now, metrics = footprint(pid), get(port, "/metrics")[1]
        if b"vouch_work_places_taken 0.0" in metrics and now.n_descriptors == before.n_descriptors:
            return now
        before = now
    raise SystemExit(f"the service was not at rest within {SETTLE_S:g} s after its last caller left")


def _check_what_is_stored(port: int, callers: Sequence[Caller], tally: Tally) -> None:
    """Exactly what the callers left there."""
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = json.loads(get(port, f"/v1/speakers?limit=200{cursor and f'&cursor={cursor}'}")[1])
        found += [speaker["speaker_id"] for speaker in page["speakers"]]
        cursor = page["next_cursor"]
    expected = {speaker_id for caller in callers for speaker_id in caller.speakers}
    if set(found) != expected or len(found) != len(expected):
        tally.errors.append(f"stored are {sorted(found)}, and {sorted(expected)} were left there")


def told(soaked: Soaked, figures: Figures) -> str:
    statuses = ", ".join(f"{status} {n}" for status, n in sorted(soaked.tally.statuses.items()))
    return (
        f"{figures.n_requests} requests in {soaked.duration_s / 60:.1f} minutes ({figures.requests_per_s:.1f} a second): "
        f"{statuses}; {soaked.tally.n_left} hung up. Errors: {figures.n_errors}. Resident memory "
        f"{figures.resident_first_mib:.0f} MiB in the second tenth, {figures.resident_last_mib:.0f} in the last "
        f"({figures.memory_drift:.3f} of it), at most {figures.resident_most_mib:.0f}; descriptors "
        f"{figures.descriptors_first} and {figures.descriptors_last}, processes {figures.processes_first} and "
        f"{figures.processes_last}, after the first tenth and at the end."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser)
    arguments = parser.parse_args()
    soaked = soak(arguments.requests, arguments.clients, arguments.seed)
    for error in soaked.tally.errors[:N_ERRORS_SHOWN]:
        print(error)
    figures = soaked.figures()
    said = told(soaked, figures)
    print(said, flush=True)
    finish(arguments, asdict(figures), said)


if __name__ == "__main__":
    main()
