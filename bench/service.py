"""What does being a service cost? `POST /v1/compare` over HTTP beside the bare pipeline and a Resemblyzer service.

    python bench/service.py [--data FOLDER] [--seconds 10] [--rounds 3] [--json]

Pairs of clips of three seconds. Each round measures by turns: the bare pipeline (decode, quality, embed in a loop, a
process a core), the service's peak (eight clients that wait for their answers), the peer's peak, the service alone with
one client, and the service at four times its peak. Then come steps of load below the peak, with Poisson arrivals and
latency from when each request was due. A figure is a median over the rounds or from all their requests.

`of_bare_pipeline` is the peak over the bare pipeline; `p99_over_p50` the 99th percentile at 70 % of the peak over the
median of one client alone; `overload_goodput` the answers of use at four times the peak over the peak; `refusal_ms` the
95th percentile of a refusal, from when its request was sent; `over_resemblyzer_peer` the peak over the peer's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from bare_pipeline import BarePipeline, Rate, bare_pipeline
from http_client import upload
from load import Generator, Latencies, Load, generator
from processes import cpu_seconds, family, footprint, sampled
from queueing import p99_over_unloaded
from record import add_arguments, finish
from running import ROOT, Running, get, server, service
from voices import clips, pairs

from app.settings import usable_cores

N_CLIENTS = 8
STEPS = (0.3, 0.5, 0.7, 0.9)
HEADLINE_STEP = 0.7
HEADLINE_FACTOR = 3
"""The step that gives the figure lasts so many times longer: a 99th percentile is made of few requests."""
OVERLOAD = 4.0
WARM_UP_S = 2.0
MIB = 1024 * 1024


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


@dataclass
class Rounds:
    bare: list[Rate] = field(default_factory=list)
    peak: list[Peak] = field(default_factory=list)
    peers: dict[str, list[Load]] = field(default_factory=dict)
    alone: list[Load] = field(default_factory=list)
    overload: list[Overload] = field(default_factory=list)

    @property
    def peak_rate(self) -> float:
        return statistics.median(peak.load.rate() for peak in self.peak)

    @property
    def bare_rate(self) -> float:
        return statistics.median(rate.pairs_per_s for rate in self.bare)

    @property
    def peer_rates(self) -> Mapping[str, float]:
        return {name: statistics.median(load.rate() for load in loads) for name, loads in self.peers.items()}

    @property
    def alone_p50_ms(self) -> float:
        return statistics.median(load.latencies_ms().p50 for load in self.alone)


# --- measuring --------------------------------------------------------------------------------------------------------


@contextmanager
def peer(n_processes: int) -> Iterator[list[int]]:
    """The Resemblyzer service: the port of each of its processes.

    A port each, and not `uvicorn --workers` on one: there the first process that wakes takes all of a burst of
    connections, and the peer would be measured with one core.
    """

    def command(port: int) -> list[str]:
        folder = ["--app-dir", str(ROOT / "bench" / "peers")]
        options = ["--port", str(port), "--log-level", "error", "--no-access-log"]
        return [sys.executable, "-W", "ignore", "-m", "uvicorn", "resemblyzer_service:app", *folder, *options]

    with ExitStack() as servers:
        yield [servers.enter_context(server(command)).port for _ in range(n_processes)]


def measure_peak(load: Generator, vouch: Running, requests: Sequence[bytes], duration_s: float) -> Peak:
    main, *decoders = family(vouch.pid)
    before = cpu_seconds([main]), cpu_seconds(decoders)
    found = load.closed_loop([vouch.port], requests, N_CLIENTS, duration_s)
    after = cpu_seconds([main]), cpu_seconds(decoders)
    main_ms, decoders_ms = (1000 * (b - a) / len(found.exchanges) for a, b in zip(before, after, strict=True))
    return Peak(found, main_ms, decoders_ms)


def measure_overload(
    load: Generator, vouch: Running, requests: Sequence[bytes], rate: float, duration_s: float, seed: int
) -> Overload:
    with sampled(lambda: footprint(vouch.pid).resident_bytes) as resident:
        found = load.open_loop(vouch.port, requests, rate, duration_s, seed)
    return Overload(found, resident[0], max(resident))


def measure_rounds(
    load: Generator,
    bare: BarePipeline,
    vouch: Running,
    peers: Mapping[str, Sequence[int]],
    found: list[tuple[bytes, bytes]],
    arguments: argparse.Namespace,
) -> Rounds:
    ours, theirs = requests_to("/v1/compare", found), requests_to("/compare", found)
    for ports, requests in (([vouch.port], ours), *((ports, theirs) for ports in peers.values())):
        load.closed_loop(ports, requests, N_CLIENTS, WARM_UP_S)
    rounds = Rounds(peers={name: [] for name in peers})
    for number in range(arguments.rounds):
        rounds.bare.append(bare.measure(arguments.seconds))
        rounds.peak.append(measure_peak(load, vouch, ours, arguments.seconds))
        for name, ports in peers.items():
            rounds.peers[name].append(load.closed_loop(ports, theirs, N_CLIENTS, arguments.seconds))
        rounds.alone.append(load.closed_loop([vouch.port], ours, 1, arguments.seconds))
        rate = OVERLOAD * rounds.peak_rate
        rounds.overload.append(measure_overload(load, vouch, ours, rate, arguments.seconds, seed=number))
    return rounds


def measure_steps(
    load: Generator, vouch: Running, requests: Sequence[bytes], peak_rate: float, duration_s: float
) -> dict[float, Load]:
    return {
        step: load.open_loop(
            vouch.port,
            requests,
            step * peak_rate,
            duration_s * (HEADLINE_FACTOR if step == HEADLINE_STEP else 1),
            seed=round(100 * step),
        )
        for step in STEPS
    }


def requests_to(path: str, found: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [upload(path, [("audio_a", a), ("audio_b", b)]) for a, b in found]


# --- what is said -----------------------------------------------------------------------------------------------------


def told_rounds(rounds: Rounds, engine: str, n_workers: int) -> list[str]:
    def rates(values: Sequence[float]) -> str:
        return " ".join(f"{value:.1f}" for value in values)

    bare_ms = statistics.median(rate.cpu_ms for rate in rounds.bare)
    main_ms = statistics.median(peak.main_cpu_ms for peak in rounds.peak)
    decoders_ms = statistics.median(peak.decoders_cpu_ms for peak in rounds.peak)
    said = [
        f"Pairs of 3 s clips a second, {n_workers} workers, engine {engine}: bare pipeline {rounds.bare_rate:.1f} "
        f"({rates([rate.pairs_per_s for rate in rounds.bare])}), service at its peak {rounds.peak_rate:.1f} "
        f"({rates([peak.load.rate() for peak in rounds.peak])}): {rounds.peak_rate / rounds.bare_rate:.3f} of it.",
        f"Processor time of a pair: bare {bare_ms:.1f} ms; the service {main_ms:.1f} ms in its process and "
        f"{decoders_ms:.1f} ms in the decoders' children. The load generator took "
        f"{statistics.median(peak.load.generator_share for peak in rounds.peak):.3f} of a core at the peak.",
        f"One client alone: p50 {rounds.alone_p50_ms:.1f} ms. Mean ms of a pair, both clips together: "
        f"bare {_told_stages([rate.stages_ms for rate in rounds.bare])}; by Server-Timing alone "
        f"{_told_stages([load.stages_ms() for load in rounds.alone])}; at the peak "
        f"{_told_stages([peak.load.stages_ms() for peak in rounds.peak])}.",
    ]
    for name, loads in rounds.peers.items():
        said.append(
            f"Resemblyzer service, {name}: {rounds.peer_rates[name]:.1f} pairs a second "
            f"({rates([load.rate() for load in loads])}), the service {rounds.peak_rate / rounds.peer_rates[name]:.2f} "
            "times that."
        )
    return said


def _told_stages(means: Sequence[Mapping[str, float]]) -> str:
    names = dict.fromkeys(name for mean in means for name in mean)
    return ", ".join(f"{name} {statistics.median(mean.get(name, 0.0) for mean in means):.1f}" for name in names)


def told_steps(steps: Mapping[float, Load], alone_ms: float, n_workers: int) -> list[str]:
    said = ["Load as a share of the peak, Poisson arrivals, latency from when each request was due:"]
    said.append("")
    said.append(
        "| load | requests | answered | p50 ms | p95 ms | p99 ms | p99 / p50 alone | M/D/1 | M/D/c | generator |"
    )
    said.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for step, load in steps.items():
        took = load.latencies_ms()
        said.append(
            f"| {100 * step:.0f} % | {len(load.exchanges)} | {took.n} | {took.p50:.1f} | {took.p95:.1f} | {took.p99:.1f} | "
            f"{took.p99 / alone_ms:.2f} | {p99_over_unloaded(1, step):.2f} | {p99_over_unloaded(n_workers, step):.2f} | "
            f"{load.generator_share:.3f} |"
        )
    said.append("")
    said.append(
        "M/D/1 and M/D/c: the same ratio of a perfect server (simulated), where a request uses every core at once, or one "
        f"of {n_workers} cores for the whole of its work."
    )
    return said


def told_overload(found: Sequence[Overload], refused: Latencies, goodput: float) -> list[str]:
    statuses = sum((overload.load.statuses() for overload in found), Counter[int]())
    others = {status: n for status, n in statuses.items() if status not in (200, 503)}
    bare_refusals = sum(e.status == 503 and not e.retry_after for o in found for e in o.load.exchanges)
    share = statistics.median(overload.load.generator_share for overload in found)
    return [
        f"At {OVERLOAD:g} times the peak: {statuses[200]} answers, {statuses[503]} refusals, others {others or 'none'}; "
        f"{goodput:.3f} of the peak was answered. A refusal took p50 {refused.p50:.1f}, p95 {refused.p95:.1f}, p99 "
        f"{refused.p99:.1f}, at most {refused.max:.1f} ms; without Retry-After: {bare_refusals}.",
        f"Resident memory of the service and its children: {min(o.resident_before for o in found) / MIB:.0f} MiB before the "
        f"first, at most {max(o.resident_most for o in found) / MIB:.0f} MiB. The load generator took {share:.3f} of a core.",
    ]


def require_answers(loads: Sequence[Load]) -> None:
    """Below its peak a service that refuses or fails is not measured but broken."""
    statuses = sum((load.statuses() for load in loads), Counter[int]())
    if set(statuses) != {200}:
        raise SystemExit(f"every request should have been answered with 200; the statuses were {dict(statuses)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of voices to cut the clips from; default examples/clips")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="leave the Resemblyzer service out")
    add_arguments(parser)
    arguments = parser.parse_args()
    found = pairs(clips(arguments.data))
    n_workers = usable_cores()
    said: list[str] = []

    def say(sentences: Sequence[str]) -> None:
        said.extend(sentences)
        print("\n".join(sentences), flush=True)

    with ExitStack() as running:
        load = running.enter_context(generator())
        vouch = running.enter_context(service())
        engine = str(json.loads(get(vouch.port, "/v1/model")[1])["engine"])
        bare = running.enter_context(bare_pipeline(found, n_workers, engine))
        counts = [] if arguments.no_peer else sorted({1, n_workers})
        names = {n: f"{n} process" + ("es" if n > 1 else "") for n in counts}
        peers = {names[n]: running.enter_context(peer(n)) for n in counts}
        rounds = measure_rounds(load, bare, vouch, peers, found, arguments)
        require_answers([*(peak.load for peak in rounds.peak), *rounds.alone, *chain(*rounds.peers.values())])
        say(told_rounds(rounds, engine, n_workers))
        steps = measure_steps(load, vouch, requests_to("/v1/compare", found), rounds.peak_rate, arguments.seconds)
    say(told_steps(steps, rounds.alone_p50_ms, n_workers))
    refused = Latencies.of([e.done_s - e.sent_s for o in rounds.overload for e in o.load.exchanges if e.status == 503])
    goodput = statistics.median(o.load.rate() for o in rounds.overload) / rounds.peak_rate
    say(told_overload(rounds.overload, refused, goodput))
    overloaded = sum((overload.load.statuses() for overload in rounds.overload), Counter[int]())
    finish(
        arguments,
        {
            "of_bare_pipeline": rounds.peak_rate / rounds.bare_rate,
            "p99_over_p50": steps[HEADLINE_STEP].latencies_ms().p99 / rounds.alone_p50_ms,
            "overload_goodput": goodput,
            "refusal_ms": refused.p95,
            "over_resemblyzer_peer": rounds.peak_rate / max(rounds.peer_rates.values()) if rounds.peers else None,
            "perfect_p99_over_p50": p99_over_unloaded(1, HEADLINE_STEP),
            "bare_pairs_per_s": rounds.bare_rate,
            "peak_pairs_per_s": rounds.peak_rate,
            "peer_pairs_per_s": max(rounds.peer_rates.values(), default=None),
            "alone_p50_ms": rounds.alone_p50_ms,
            "step_p50_ms": {f"{step:g}": load.latencies_ms().p50 for step, load in steps.items()},
            "step_p99_ms": {f"{step:g}": load.latencies_ms().p99 for step, load in steps.items()},
            "refusal_p99_ms": refused.p99,
            "refusal_max_ms": refused.max,
            "n_overload_answers": overloaded[200],
            "n_overload_refusals": overloaded[503],
            "n_overload_errors": overloaded.total() - overloaded[200] - overloaded[503],
            "resident_before_mib": min(o.resident_before for o in rounds.overload) / MIB,
            "resident_most_mib": max(o.resident_most for o in rounds.overload) / MIB,
        },
        "\n".join(said),
    )


if __name__ == "__main__":
    main()
