"""`make scale-check`, shortened: three replicas on one PostgreSQL are one service, whatever fails."""

from __future__ import annotations

from pathlib import Path

import gallery_postgres
import pytest
from postgres_server import postgres_server
from scale import BAR, measure

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]

N_CHECKS = 200
N_SPEAKERS = 2000


@pytest.mark.parametrize("gallery", ["pgvector", "faiss"])
def test_what_one_replica_acknowledged_the_others_know_and_no_fault_loses_it(gallery: str) -> None:
    with postgres_server() as server:  # of its own, since it is restarted
        part = measure(server, gallery, N_CHECKS, n_rounds=1, duration_s=0.0, seed=5)
    assert part.errors == []
    assert part.reads.n_checks >= N_CHECKS
    assert part.reads.checks["erase, identify"] > 0
    assert part.endured.n_acknowledged > 20
    assert {outage.replica is None for outage in part.endured.outages} == {True, False}
    assert part.endured.failures != []  # the faults were felt


def test_the_index_finds_whom_the_exact_scan_finds() -> None:
    assert gallery_postgres.measured(N_SPEAKERS, exact_up_to=0)["top1_agreement"] >= BAR
