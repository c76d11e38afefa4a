"""Do three replicas answer as much as one that has as many cores? Both are asked by turns, on the same cores."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from http_client import upload
from load import Generator, generator
from processes import cpu_seconds, family
from scale_load import KNOWN
from scale_reads import ENROLLED, PROBE
from scale_replicas import Fleet, Replica

N_CLIENTS = 12
WARM_UP_S = 2.0


@dataclass(frozen=True)
class Rate:
    """Requests a second, and the processor time that one takes of the replicas, PostgreSQL's left out."""

    per_s: float
    cpu_ms: float


@dataclass(frozen=True)
class Throughput:
    """By round."""

    together: Sequence[Rate]
    alone: Sequence[Rate]

    @property
    def ratio(self) -> float:
        """The median over the rounds of each round's own."""
        return statistics.median(ours.per_s / its.per_s for ours, its in zip(self.together, self.alone, strict=True))


def throughput(fleet: Fleet, clips: Mapping[str, bytes], n_rounds: int, duration_s: float) -> Throughput:
    """Of comparing twice, verifying once and identifying once."""
    assert fleet.alone is not None
    headers = fleet.authorization("throughput")
    fleet.make_speaker(KNOWN, headers, [clips[name] for name in ENROLLED])
    requests = _requests(clips, headers)
    sides: tuple[tuple[Sequence[Replica], list[Rate]], ...] = ((fleet.replicas, []), ([fleet.alone], []))
    with generator() as load:
        for replicas, _ in sides:
            load.closed_loop([one.port for one in replicas], requests, N_CLIENTS, WARM_UP_S)
        for _ in range(n_rounds):
            for replicas, rates in sides:
                rates.append(_measured(load, replicas, requests, duration_s))
    (_, together), (_, alone) = sides
    return Throughput(together, alone)


def _measured(load: Generator, replicas: Sequence[Replica], requests: Sequence[bytes], duration_s: float) -> Rate:
    before_s = _cpu_s(replicas)
    took = load.closed_loop([one.port for one in replicas], requests, N_CLIENTS, duration_s)
    if set(took.statuses()) != {200}:
        raise SystemExit(f"every request should have been answered with 200; the statuses were {took.statuses()}")
    return Rate(took.rate(), 1000 * (_cpu_s(replicas) - before_s) / len(took.exchanges))


def _cpu_s(replicas: Sequence[Replica]) -> float:
    return cpu_seconds([pid for replica in replicas for pid in family(replica.pid)])


def _requests(clips: Mapping[str, bytes], headers: Mapping[str, str]) -> list[bytes]:
    """Clients take them in turn."""
    compare = upload("/v1/compare", [("audio_a", clips[ENROLLED[0]]), ("audio_b", clips[PROBE])], headers=headers)
    verify = upload(f"/v1/speakers/{KNOWN}/verify", [("audio", clips[PROBE])], headers=headers)
    identify = upload("/v1/identify", [("audio", clips[PROBE])], headers=headers)
    return [compare, verify, compare, identify]
