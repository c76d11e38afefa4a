"""`make contract`, shortened: every call keeps to the document, whatever is sent, and costs nobody a worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from api_contract import PEAK_CAP_MB, Tally, contract

import fake_audio
from app.main import create_app

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc")

N_EXAMPLES = 25
N_FEW = 3
DOCUMENT = create_app(fake_audio.settings(), fake_audio.components()).openapi()


def keeps_to_the_document(tally: Tally) -> None:
    assert tally.errors == []
    assert tally.n_lost_workers == 0
    assert len(tally.statuses) == sum(map(len, DOCUMENT["paths"].values()))
    assert 0 < tally.figures()["peak_mb"] <= PEAK_CAP_MB


def test_a_few_calls_of_every_operation_keep_to_the_document() -> None:
    keeps_to_the_document(contract(N_FEW, run_seed=3))


@pytest.mark.slow
def test_many_calls_do_and_every_operation_succeeds_and_is_refused() -> None:
    tally = contract(N_EXAMPLES, run_seed=7)
    keeps_to_the_document(tally)
    for operation, statuses in tally.statuses.items():
        assert any(status < 400 for status in statuses), f"{operation} never succeeded: {statuses}"
    assert {401, 403, 404, 409, 415, 422} <= set().union(*tally.statuses.values())
