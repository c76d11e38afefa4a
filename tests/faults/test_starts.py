"""Three services that start at once on an empty PostgreSQL database, each a process with a data directory of its own."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import HOST

from faults import Service
from postgres_files import executed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc"),
]

N_SERVICES = 3
KEY_FILE = "bootstrap.key"
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class Replica:
    """What `faults.Service` needs to know of its database."""

    folder: Path
    environ: Mapping[str, str]


def status(port: int, key: str) -> int:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", "/v1/speakers", headers={"X-API-Key": key})
    found = connection.getresponse().status
    connection.close()
    return found


def test_three_that_start_at_once_make_one_schema_one_set_of_secrets_and_one_first_key(
    postgres_url: str, tmp_path: Path
) -> None:
    folders = [tmp_path / f"replica {n}" for n in range(N_SERVICES)]
    log = tmp_path / "service.log"
    services = []
    try:
        for folder in folders:
            environ = {
                "VOUCH_DATABASE_URL": postgres_url,
                "VOUCH_MASTER_KEY": MASTER_KEY,
                "VOUCH_HOST": "0.0.0.0",
                "VOUCH_BOOTSTRAP_KEY_FILE": str(folder / KEY_FILE),
            }
            services.append(Service(Replica(folder, environ), log))
        for service in services:
            service.wait()
        (key_file,) = [folder / KEY_FILE for folder in folders if (folder / KEY_FILE).exists()]
        key = key_file.read_text().strip()
        assert [status(service.port, key) for service in services] == [200] * N_SERVICES
    finally:
        for service in services:
            service.kill()
    counts = (
        "SELECT (SELECT count(*) FROM alembic_version), (SELECT count(*) FROM secrets), (SELECT count(*) FROM api_keys)"
    )
    assert executed(postgres_url, counts) == [(1, 2, 1)]
    assert "Traceback" not in log.read_text()
