"""Do several replicas on one PostgreSQL behave as one service? Three of them, under load and while things fail.

    python bench/scale.py [--checks 10000] [--speakers 20000] [--gallery pgvector faiss] [--rounds 3] [--seed 1] [--json]

A real PostgreSQL with pgvector, and real processes of `vouch serve` with API keys, on two cores.

- checks, stale_reads: what one replica acknowledged is asked for at another at once: speakers made, changed and erased, clips
  enrolled and taken back, verified, identified, keys made and revoked, calls repeated. Clients do so all at once while others
  compare, verify and identify. First with the gallery in PostgreSQL, then, a fifth as many, with one in each replica.
- lost, resurrected: of the writes that were acknowledged while a replica is killed (SIGKILL) and PostgreSQL is restarted, by
  turns, as every replica and the database itself tell afterwards. Errors must be 503 or no answer, and end a second after the
  fault at the latest; what else comes is in `errors`.
- throughput_ratio: comparisons, verifications and identifications a second of three replicas with a worker each, over one
  with two workers, by turns.
- top1_agreement: of pgvector's index with the exact scan (bench/gallery_postgres.py), among `--speakers`; 0.995 is the bar.

Exits with 1 where anything is stale, lost, back or wrong, or too few agree.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import gallery_postgres
from postgres_server import PostgresServer, postgres_server
from processes import footprint
from record import add_arguments, finish
from scale_load import KNOWN, Bystander, all_at_once
from scale_outages import Endured, endure
from scale_reads import ENROLLED, Caller, Tally
from scale_replicas import N_REPLICAS, Fleet, fleet
from scale_throughput import Rate, Throughput, throughput

from faults import clips_by_name

N_CALLERS = 6
N_BYSTANDERS = 2
GALLERIES = ("pgvector", "faiss")
FAISS_SHARE = 5
"""Of so many checks one is made with a gallery in each replica."""
BAR = 0.995
N_SHOWN = 20
MIB = 1024 * 1024


@dataclass(frozen=True)
class Part:
    """What came of the replicas with one kind of gallery."""

    gallery: str
    reads: Tally
    took_s: float
    endured: Endured
    throughput: Throughput | None
    resident_mib: float
    """Of the largest replica, after its reads."""

    @property
    def errors(self) -> list[str]:
        return [*self.reads.stale, *self.reads.errors, *self.endured.errors, *self.endured.unexcused()]


def read_your_writes(of: Fleet, clips: Mapping[str, bytes], n_checks: int, seed: int) -> Tally:
    headers, tally = of.authorization("reads"), Tally()
    of.make_speaker(KNOWN, headers, [clips[name] for name in ENROLLED])
    ports = [replica.port for replica in of.replicas]
    callers = [Caller(number, ports, headers, clips, tally, seed) for number in range(N_CALLERS)]
    bystanders = [Bystander(number, ports, headers, clips, tally, seed) for number in range(N_BYSTANDERS)]
    asyncio.run(all_at_once(callers, bystanders, tally, n_checks))
    return tally


def measure(server: PostgresServer, gallery: str, n_checks: int, n_rounds: int, duration_s: float, seed: int) -> Part:
    """Without a `duration_s` for each measurement of it, no throughput."""
    clips = clips_by_name()
    with fleet(server, gallery, with_one_alone=duration_s > 0) as of:
        began_s = time.monotonic()
        reads = read_your_writes(of, clips, n_checks, seed)
        took_s = time.monotonic() - began_s
        resident = max(footprint(replica.pid).resident_bytes for replica in of.replicas)
        rates = throughput(of, clips, n_rounds, duration_s) if duration_s > 0 else None
        endured = endure(of, clips, n_rounds, seed)
        part = Part(gallery, reads, took_s, endured, rates, resident / MIB)
        if part.errors:
            print(of.log.read_text(encoding="utf-8", errors="replace")[-6000:])
        return part


def figures(parts: Sequence[Part], top1: Mapping[str, float] | None) -> dict[str, object]:
    errors = Counter(error.partition(":")[0] for part in parts for error in part.endured.errors)
    rates = next((part.throughput for part in parts if part.throughput is not None), None)
    return {
        "replicas": N_REPLICAS,
        "checks": sum(part.reads.n_checks for part in parts),
        "stale_reads": sum(len(part.reads.stale) for part in parts) + errors["stale"],
        "lost": errors["lost"],
        "resurrected": errors["resurrected"],
        "top1_agreement": top1 and top1["top1_agreement"],
        "throughput_ratio": rates and rates.ratio,
        "errors": sum(len(part.errors) for part in parts),
        "acknowledged": sum(part.endured.n_acknowledged for part in parts),
        "faults": sum(len(part.endured.outages) for part in parts),
        "search_ms": top1 and top1["search_ms"],
        "faiss_search_ms": top1 and top1["faiss_search_ms"],
    }


def told(part: Part) -> list[str]:
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(part.reads.checks.items()))
    said = [
        f"{part.gallery}: {part.reads.n_checks} checks in {part.took_s:.0f} s beside {part.reads.n_background} requests of "
        f"others, {len(part.reads.stale)} stale ({kinds}). The largest replica has {part.resident_mib:.0f} MiB with its children.",
        f"{part.gallery}: {part.endured.n_acknowledged} writes were acknowledged beside the faults. {part.endured.told()}.",
    ]
    if part.throughput is not None:
        said.append(
            f"Requests a second, medians: {N_REPLICAS} replicas {_told(part.throughput.together)}; one with as many cores "
            f"{_told(part.throughput.alone)}."
        )
    return said


def _told(rates: Sequence[Rate]) -> str:
    each = " ".join(f"{one.per_s:.1f}" for one in rates)
    cpu_ms = statistics.median(one.cpu_ms for one in rates)
    return f"{statistics.median(one.per_s for one in rates):.1f} ({each}), {cpu_ms:.1f} ms of processor time each"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, default=10_000)
    parser.add_argument("--speakers", type=int, default=20_000)
    parser.add_argument("--gallery", choices=GALLERIES, nargs="+", default=GALLERIES)
    parser.add_argument("--rounds", type=int, default=3, help="of faults, and of the throughput's two sides")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of the throughput")
    parser.add_argument("--seed", type=int, default=1)
    add_arguments(parser)
    arguments = parser.parse_args()
    n, seed = arguments.checks, arguments.seed
    said: list[str] = []

    def say(lines: Sequence[str]) -> None:
        said.extend(lines)
        print(*lines, sep="\n", flush=True)

    parts = []
    with postgres_server({"max_connections": "200"}) as server:
        for gallery in arguments.gallery:
            if gallery == "pgvector":
                part = measure(server, gallery, n, arguments.rounds, arguments.seconds, seed)
            else:
                part = measure(server, gallery, n // FAISS_SHARE, 1, 0.0, seed)
            parts.append(part)
            say(told(part))
            for error in part.errors[:N_SHOWN]:
                print(error, flush=True)
    # However few they are, by the index.
    top1 = gallery_postgres.measured(arguments.speakers, exact_up_to=0)
    say([gallery_postgres.told(top1)])
    finish(arguments, figures(parts, top1), "\n".join(said))
    sys.exit(1 if any(part.errors for part in parts) or top1["top1_agreement"] < BAR else 0)


if __name__ == "__main__":
    main()
