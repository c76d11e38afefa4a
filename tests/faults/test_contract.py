"""`make contract`, shortened: every call keeps to the document, whatever is sent, and costs nobody a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract import PEAK_CAP_MB, contract

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]

N_EXAMPLES = 25
N_OPERATIONS = 20


def test_every_call_keeps_to_the_document() -> None:
    tally = contract(N_EXAMPLES, run_seed=7)
    assert tally.errors == []
    assert tally.n_lost_workers == 0
    assert len(tally.statuses) == N_OPERATIONS
    for operation, statuses in tally.statuses.items():
        assert any(status < 400 for status in statuses), f"{operation} never succeeded: {statuses}"
    assert {401, 403, 404, 409, 415, 422} <= set().union(*tally.statuses.values())
    assert 0 < tally.figures()["peak_mb"] <= PEAK_CAP_MB
