"""One round of bench/service.py: everything that is compared, measured by turns within a minute and a half."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bare_pipeline import BarePipeline, Pair, Rate
from http_client import upload
from load import Generator, Load
from processes import cpu_seconds, family, footprint, sampled
from running import ROOT, Running, server

N_CLIENTS = 8
STEPS = (0.3, 0.5, 0.7, 0.9)
HEADLINE_STEP = 0.7
OVERLOAD = 4.0
WARM_UP_S = 2.0


@dataclass(frozen=True)
class Peak:
    """Closed loop, and what a pair took of the processors meanwhile."""

    load: Load
    main_cpu_ms: float
    decoders_cpu_ms: float


@dataclass(frozen=True)
class Overload:
    load: Load
    resident_before: int
    resident_most: int


@dataclass(frozen=True)
class Round:
    bare: Rate
    peak: Peak
    peers: Mapping[str, Load]
    alone: Load
    steps: Mapping[float, Load]
    """By the share of this round's peak that arrived."""
    overload: Overload

    @property
    def peak_rate(self) -> float:
        return self.peak.load.rate()

    @property
    def alone_p50_ms(self) -> float:
        return self.alone.latencies_ms().p50

    def over_peer(self, name: str) -> float:
        return self.peak_rate / self.peers[name].rate()

    def over_alone(self, step: float) -> float:
        return self.steps[step].latencies_ms().p99 / self.alone_p50_ms

    @property
    def closed_loops(self) -> list[Load]:
        """Where no client can come too many, and every request must be answered."""
        return [self.peak.load, self.alone, *self.peers.values()]


@dataclass(frozen=True)
class Contenders:
    load: Generator
    bare: BarePipeline
    vouch: Running
    peers: Mapping[str, Sequence[int]]
    """The ports of each one's processes."""


@contextmanager
def peer(n_processes: int) -> Iterator[list[int]]:
    """The Resemblyzer service: the port of each of its processes.

    A port each, and not `uvicorn --workers` on one: there the first process that wakes takes all of a burst of
    connections, and the peer would be measured with one core. One thread for every numeric library, not for PyTorch
    alone: the others' threads, spinning against each other, cost the peer half of its rate (measured).
    """
    environ = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

    def command(port: int) -> list[str]:
        folder = ["--app-dir", str(ROOT / "bench" / "peers")]
        options = ["--port", str(port), "--log-level", "error", "--no-access-log"]
        return [sys.executable, "-W", "ignore", "-m", "uvicorn", "resemblyzer_service:app", *folder, *options]

    with ExitStack() as servers:
        yield [servers.enter_context(server(command, environ)).port for _ in range(n_processes)]


def warm_up(measured: Contenders, pairs: Sequence[Pair]) -> None:
    measured.load.closed_loop([measured.vouch.port], _ours(pairs), N_CLIENTS, WARM_UP_S)
    for ports in measured.peers.values():
        measured.load.closed_loop(ports, _theirs(pairs), N_CLIENTS, WARM_UP_S)


def measure_round(measured: Contenders, pairs: Sequence[Pair], duration_s: float, seed: int) -> Round:
    load, port, requests = measured.load, measured.vouch.port, _ours(pairs)
    bare = measured.bare.measure(duration_s)
    peak = _peak(load, measured.vouch, requests, duration_s)
    rate = peak.load.rate()
    return Round(
        bare=bare,
        peak=peak,
        peers={
            name: load.closed_loop(ports, _theirs(pairs), N_CLIENTS, duration_s)
            for name, ports in measured.peers.items()
        },
        alone=load.closed_loop([port], requests, 1, duration_s),
        steps={step: load.open_loop(port, requests, step * rate, duration_s, seed) for step in STEPS},
        overload=_overload(load, measured.vouch, requests, OVERLOAD * rate, duration_s, seed),
    )


def _peak(load: Generator, vouch: Running, requests: Sequence[bytes], duration_s: float) -> Peak:
    main, *decoders = family(vouch.pid)
    before = cpu_seconds([main]), cpu_seconds(decoders)
    found = load.closed_loop([vouch.port], requests, N_CLIENTS, duration_s)
    after = cpu_seconds([main]), cpu_seconds(decoders)
    main_ms, decoders_ms = (1000 * (b - a) / len(found.exchanges) for a, b in zip(before, after, strict=True))
    return Peak(found, main_ms, decoders_ms)


def _overload(
    load: Generator, vouch: Running, requests: Sequence[bytes], rate: float, duration_s: float, seed: int
) -> Overload:
    with sampled(lambda: footprint(vouch.pid).resident_bytes) as resident:
        found = load.open_loop(vouch.port, requests, rate, duration_s, seed)
    return Overload(found, resident[0], max(resident))


def _ours(pairs: Sequence[Pair]) -> list[bytes]:
    return _requests("/v1/compare", pairs)


def _theirs(pairs: Sequence[Pair]) -> list[bytes]:
    return _requests("/compare", pairs)


def _requests(path: str, pairs: Sequence[Pair]) -> list[bytes]:
    return [upload(path, [("audio_a", a), ("audio_b", b)]) for a, b in pairs]
