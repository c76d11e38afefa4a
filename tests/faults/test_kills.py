"""bench/faults.py, shortened: nothing acknowledged is lost to a kill, and nobody erased is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults import DATABASES, Faults

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]

N_KILLS = 6


@pytest.mark.parametrize("database", DATABASES)
def test_what_was_acknowledged_survives_kills(tmp_path: Path, database: str) -> None:
    with DATABASES[database](tmp_path / "data") as opened:
        faults = Faults(tmp_path, opened, n_clients=4, seed=3)
        faults.run(N_KILLS)
    assert faults.errors == []
    assert faults.kills.total() >= N_KILLS
    assert faults.ledger.n_acknowledged > 50
    assert faults.n_in_flight > 0
