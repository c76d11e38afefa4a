"""bench/soak.py, shortened: no wrong answer, and nothing left behind. Memory needs the long run to tell anything."""

from pathlib import Path

import pytest
from soak import soak

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]

N_REQUESTS = 600
N_LAZY_DESCRIPTORS = 6
"""Opened at a later first use, such as a thread's own connection to the database."""


def test_hundreds_of_mixed_requests_leave_nothing_behind() -> None:
    soaked = soak(N_REQUESTS, n_clients=8, seed=2, sample_s=0.1)
    figures = soaked.figures()
    assert soaked.tally.errors == []
    assert figures.n_requests >= N_REQUESTS
    assert set(soaked.tally.statuses) == {200, 201, 204, 404, 409, 415, 422}
    assert soaked.tally.n_left > 0
    assert figures.descriptors_last <= figures.descriptors_first + N_LAZY_DESCRIPTORS
    assert figures.processes_last == figures.processes_first
    assert figures.memory_drift < 1.5  # what is loaded at first use; the long run is held to much less
