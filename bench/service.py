"""What does being a service cost? `POST /v1/compare` over HTTP beside the bare pipeline and a Resemblyzer service.

    python bench/service.py [--data FOLDER] [--seconds 10] [--rounds 3] [--json]

Pairs of clips of three seconds. Each round measures by turns: the bare pipeline (decode, quality, embed in a loop, a
process a core), the service's peak (eight clients that wait for their answers), the peer's peak, the service with one
client alone, steps of Poisson arrivals below the peak with latency from when each request was due, and arrivals at four
times the peak. A ratio is the median over the rounds of each round's own.

`of_bare_pipeline` is the peak over the bare pipeline; `p99_over_p50` the 99th percentile at 70 % of the peak over the
median of one client alone; `overload_goodput` the answers of use at four times the peak over the peak; `refusal_ms` the
95th percentile of a refusal, from when its request was sent; `over_resemblyzer_peer` the peak over the peer's.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bare_pipeline import bare_pipeline
from load import Latencies, Load, generator
from queueing import p99_over_unloaded
from record import add_arguments, finish
from running import get, service
from service_rounds import HEADLINE_STEP, OVERLOAD, STEPS, Contenders, Round, measure_round, peer, warm_up
from voices import clips, pairs

from app.settings import usable_cores

MIB = 1024 * 1024
Rounds = Sequence[Round]


def median(rounds: Rounds, value: Callable[[Round], float]) -> float:
    return statistics.median(map(value, rounds))


def each(values: Iterable[float]) -> str:
    """The median, and each round's own."""
    found = list(values)
    return f"{statistics.median(found):.1f} ({' '.join(f'{value:.1f}' for value in found)})"


def over_peer(rounds: Rounds) -> float | None:
    """The peak over the peer at its best; None where it was left out."""
    ratios = [statistics.median(one.over_peer(name) for one in rounds) for name in rounds[0].peers]
    return min(ratios, default=None)


def refusals(rounds: Rounds) -> Latencies:
    """From when each request was sent."""
    sent = [exchange for one in rounds for exchange in one.overload.load.exchanges if exchange.status == 503]
    return Latencies.of([exchange.done_s - exchange.sent_s for exchange in sent])


def step_latencies(rounds: Rounds) -> dict[float, Latencies]:
    """By step: each percentile the median of the rounds', of all requests together."""
    found = {}
    for step in STEPS:
        took = [one.steps[step].latencies_ms() for one in rounds]
        found[step] = Latencies(
            n=sum(one.n for one in took),
            p50=statistics.median(one.p50 for one in took),
            p95=statistics.median(one.p95 for one in took),
            p99=statistics.median(one.p99 for one in took),
            max=max(one.max for one in took),
        )
    return found


def statuses(loads: Iterable[Load]) -> Counter[int]:
    return sum((load.statuses() for load in loads), Counter[int]())


def n_refused(rounds: Rounds, step: float) -> int:
    return statuses(one.steps[step] for one in rounds)[503]


def require_measurable(rounds: Rounds) -> None:
    """Raises SystemExit where answers are missing that no load excuses.

    A step may have refusals, which are counted: where the machine slows down after a round's peak was taken, 90 % of that
    peak is more than all of it.
    """
    closed = statuses(load for one in rounds for load in one.closed_loops)
    steps = statuses(load for one in rounds for load in one.steps.values())
    if set(closed) != {200} or not set(steps) <= {200, 503}:
        raise SystemExit(
            "every client that waits should have been answered with 200, and every arrival below the peak with 200 or 503; "
            f"the statuses were {dict(closed)} and {dict(steps)}"
        )


# --- what is said -----------------------------------------------------------------------------------------------------


def told_peak(rounds: Rounds, engine: str, n_workers: int) -> list[str]:
    said = [
        f"Pairs of 3 s clips a second, {n_workers} workers, engine {engine}, median and each round: bare pipeline "
        f"{each(one.bare.pairs_per_s for one in rounds)}, the service at its peak "
        f"{each(one.peak_rate for one in rounds)}.",
        f"Processor time of a pair: bare {median(rounds, lambda one: one.bare.cpu_ms):.1f} ms; the service "
        f"{median(rounds, lambda one: one.peak.main_cpu_ms):.1f} ms in its process and "
        f"{median(rounds, lambda one: one.peak.decoders_cpu_ms):.1f} ms in the decoders' children. The load generator "
        f"took {median(rounds, lambda one: one.peak.load.generator_share):.3f} of a core at the peak.",
        f"Mean ms of a pair, both clips together: bare {_told_stages([one.bare.stages_ms for one in rounds])}; by "
        f"Server-Timing alone {_told_stages([one.alone.stages_ms() for one in rounds])}; at the peak "
        f"{_told_stages([one.peak.load.stages_ms() for one in rounds])}.",
        f"One client alone: p50 {each(one.alone_p50_ms for one in rounds)} ms.",
    ]
    peers = {name: each(one.peers[name].rate() for one in rounds) for name in rounds[0].peers}
    return [*said, *(f"Resemblyzer service, {name}: {rates} pairs a second." for name, rates in peers.items())]


def _told_stages(means: Sequence[Mapping[str, float]]) -> str:
    names = dict.fromkeys(name for mean in means for name in mean)
    return ", ".join(f"{name} {statistics.median(mean.get(name, 0.0) for mean in means):.1f}" for name in names)


def told_steps(rounds: Rounds, n_workers: int) -> list[str]:
    said = [
        "Poisson arrivals at a share of the round's peak, latency from when each request was due; medians over the "
        "rounds. M/D/1 and M/D/c: the ratio of a perfect server (simulated), where a request uses every core at once, "
        f"or one of {n_workers} cores for the whole of its work.",
        "",
        "| load | answers | refusals | p50 ms | p95 ms | p99 ms | p99 / p50 alone | M/D/1 | M/D/c | generator, of a core |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step, took in step_latencies(rounds).items():
        said.append(
            f"| {100 * step:.0f} % | {took.n} | {n_refused(rounds, step)} | {took.p50:.1f} | {took.p95:.1f} | {took.p99:.1f} | "
            f"{statistics.median(one.over_alone(step) for one in rounds):.2f} | {p99_over_unloaded(1, step):.2f} | "
            f"{p99_over_unloaded(n_workers, step):.2f} | {statistics.median(one.steps[step].generator_share for one in rounds):.3f} |"
        )
    return [*said, ""]


def told_overload(rounds: Rounds) -> list[str]:
    loads, refused = [one.overload.load for one in rounds], refusals(rounds)
    counted = statuses(loads)
    others = {status: n for status, n in counted.items() if status not in (200, 503)}
    n_without = sum(e.status == 503 and not e.retry_after for load in loads for e in load.exchanges)
    before, most = (
        min(one.overload.resident_before for one in rounds) / MIB,
        max(one.overload.resident_most for one in rounds) / MIB,
    )
    return [
        f"At {OVERLOAD:g} times the peak: {counted[200]} answers, {counted[503]} refusals, others {others or 'none'}. A "
        f"refusal took p50 {refused.p50:.1f}, p95 {refused.p95:.1f}, p99 {refused.p99:.1f}, at most {refused.max:.1f} ms; "
        f"without Retry-After: {n_without}. Resident memory of the service and its children: {before:.0f} MiB before the "
        f"first, at most {most:.0f} MiB. The load generator took "
        f"{median(rounds, lambda one: one.overload.load.generator_share):.3f} of a core.",
    ]


def figures(rounds: Rounds) -> dict[str, object]:
    refused, overloaded = refusals(rounds), statuses(one.overload.load for one in rounds)
    latencies = step_latencies(rounds)
    return {
        "of_bare_pipeline": median(rounds, lambda one: one.peak_rate / one.bare.pairs_per_s),
        "p99_over_p50": median(rounds, lambda one: one.over_alone(HEADLINE_STEP)),
        "overload_goodput": median(rounds, lambda one: one.overload.load.rate() / one.peak_rate),
        "refusal_ms": refused.p95,
        "over_resemblyzer_peer": over_peer(rounds),
        "perfect_p99_over_p50": p99_over_unloaded(1, HEADLINE_STEP),
        "bare_pairs_per_s": median(rounds, lambda one: one.bare.pairs_per_s),
        "peak_pairs_per_s": median(rounds, lambda one: one.peak_rate),
        "alone_p50_ms": median(rounds, lambda one: one.alone_p50_ms),
        "step_p50_ms": {f"{step:g}": took.p50 for step, took in latencies.items()},
        "step_p99_ms": {f"{step:g}": took.p99 for step, took in latencies.items()},
        "step_refusals": {f"{step:g}": n_refused(rounds, step) for step in STEPS},
        "refusal_p99_ms": refused.p99,
        "refusal_max_ms": refused.max,
        "n_overload_answers": overloaded[200],
        "n_overload_refusals": overloaded[503],
        "n_overload_errors": overloaded.total() - overloaded[200] - overloaded[503],
        "resident_before_mib": min(one.overload.resident_before for one in rounds) / MIB,
        "resident_most_mib": max(one.overload.resident_most for one in rounds) / MIB,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of voices to cut the clips from; default examples/clips")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true", help="leave the Resemblyzer service out")
    add_arguments(parser)
    arguments = parser.parse_args()
    found, n_workers = pairs(clips(arguments.data)), usable_cores()
    with ExitStack() as running:
        vouch = running.enter_context(service())
        engine = str(json.loads(get(vouch.port, "/v1/model")[1])["engine"])
        names = {n: f"{n} process" + ("es" if n > 1 else "") for n in sorted({1, n_workers})}
        measured = Contenders(
            load=running.enter_context(generator()),
            bare=running.enter_context(bare_pipeline(found, n_workers, engine)),
            vouch=vouch,
            peers={} if arguments.no_peer else {names[n]: running.enter_context(peer(n)) for n in names},
        )
        warm_up(measured, found)
        rounds = [measure_round(measured, found, arguments.seconds, seed) for seed in range(arguments.rounds)]
    require_measurable(rounds)
    said = "\n".join([*told_peak(rounds, engine, n_workers), *told_steps(rounds, n_workers), *told_overload(rounds)])
    print(said, flush=True)
    finish(arguments, figures(rounds), said)


if __name__ == "__main__":
    main()
