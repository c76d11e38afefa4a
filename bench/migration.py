"""Does a migration to PostgreSQL that is killed end equal, row by row, and what does it take?

    python bench/migration.py [--speakers 100000] [--json] [--no-record]

Made-up speakers in an embedded database, with one or two sealed clips of 448 numbers, a fingerprint for each and an answered
request. `vouch migrate` is killed with SIGKILL when half of the speakers are copied, and again when half of the clips are; the
third run ends. Every row of either side is then read by code that is not the service's, and held against the other's. Run once
more with nothing to do, it tells for how long a service has to be stopped at least. Last comes the way back, compared alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from database_rows import n_differing
from made_installation import make_installation
from postgres_server import postgres_server
from record import add_arguments, finish
from running import ROOT
from sqlalchemy import make_url

from app.settings import Settings

LOOK_S = 0.1


def begun(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    """`vouch migrate` on this data directory."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "migrate", "--json", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VOUCH_DATA_DIR": str(folder)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)  # nosec B603 # our own command


def ended(folder: Path, *arguments: str) -> tuple[dict[str, Any], float]:
    """What it said, and the seconds that it took."""
    begin_s = time.monotonic()
    process = begun(folder, arguments)
    said, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"vouch migrate ended with status {process.returncode}")
    return json.loads(said), time.monotonic() - begin_s


def killed(folder: Path, url: str, table: str, number: int) -> float:
    """Kills it once the target has this number of the table. The seconds that it ran."""
    begin_s = time.monotonic()
    process = begun(folder, ["--to", url])
    while highest(url, table) < number:
        if process.poll() is not None:
            raise SystemExit("vouch migrate ended before it was killed")
        time.sleep(LOOK_S)  # another process: there is nothing to wait on but what it has written
    process.kill()
    process.communicate()
    return time.monotonic() - begin_s


def highest(url: str, table: str) -> int:
    """The highest number in the target; 0 where there is none, or no table yet."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        try:
            row = connection.execute(f"SELECT coalesce(max(seq), 0) FROM {table}").fetchone()  # nosec B608 # our own tables
        except psycopg.errors.UndefinedTable:
            return 0
    return row[0] if row else 0


def measure(n_speakers: int) -> tuple[dict[str, object], str]:
    with tempfile.TemporaryDirectory() as temporary, postgres_server() as server, server.database() as url:
        folder = Path(temporary) / "data"
        settings = Settings(data_dir=folder)
        make_installation(settings, n_speakers)
        file = folder / "vouch.db"
        n_bytes = file.stat().st_size
        runs_s = [
            killed(folder, url, "speakers", n_speakers // 2),
            killed(folder, url, "enrollments", n_speakers * 3 // 4),
        ]
        said, last_s = ended(folder, "--to", url)
        runs_s.append(last_s)
        n_rows, n_different = n_differing(file, url)
        again, again_s = ended(folder, "--to", url)
        file.rename(folder / "former.db")
        back, back_s = ended(folder, "--from", url)
        _, n_different_back = n_differing(file, url)
    tables = said["tables"].values()
    figures: dict[str, object] = {
        "speakers": n_speakers,
        "rows": n_rows,
        "megabytes": round(n_bytes / 2**20),
        "kills": len(runs_s) - 1,
        "differing": n_different,
        "verified": sum(table["verified"] for table in tables),
        "complete": said["complete"] and again["complete"] and back["complete"],
        "copied_by_the_last_run": sum(table["copied"] for table in tables),
        "seconds": sum(runs_s),
        "rows_per_s": n_rows / sum(runs_s),
        "written_again": sum(
            table["copied"] + table["updated"] + table["deleted"] for table in again["tables"].values()
        ),
        "again_s": again_s,
        "differing_after_the_way_back": n_different_back,
        "back_s": back_s,
    }
    return figures, (
        f"{n_speakers:,} speakers, {n_rows:,} rows, {n_bytes / 2**20:.0f} MiB. Killed after {runs_s[0]:.0f} s and, run again, after "
        f"{runs_s[1]:.0f} s; the third run took {last_s:.0f} s. {n_different} rows differ. With nothing to do {again_s:.0f} s, the "
        f"way back {back_s:.0f} s, after which {n_different_back} rows differ."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=100_000)
    add_arguments(parser)
    arguments = parser.parse_args()
    figures, text = measure(arguments.speakers)
    print(text, flush=True)
    finish(arguments, figures, text)


if __name__ == "__main__":
    main()
