"""Does an acknowledged write survive? Kills the service (SIGKILL) at random moments, and checks everything each time.

    python bench/faults.py [--database sqlite] [--kills 300] [--clients 4] [--seed 1]

Clients create, change and erase speakers, enrol clips of real voices and take them back, all at once, over HTTP. Each
notes what it means to do in a log on the disk before it asks, and what it was told after. The service is the real one,
with its database, gallery, decoders and encoder; VOUCH_ENGINE=onnxruntime spares it timing its engines at each start. It
is killed under load, while a transaction or a VACUUM writes, while it starts, and while it migrates an older schema. With
`--database postgres` its database is on a real PostgreSQL server, which goes on, and what it migrates is an empty one.

Prints one line of JSON last. `lost` are acknowledged writes that are not there, `resurrected` erased speakers and clips
that are; `faults` counts both and whatever else is wrong, and makes the exit status 1, as they do.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fault_checks import Check
from fault_clients import Client
from fault_databases import FaultDatabase, PostgresDatabase, SqliteDatabase
from fault_ledger import Intent, Ledger, read_ledger
from postgres_server import postgres_server
from processes import family
from running import ROOT, SERVE, free_port, get
from voices import encoded, example

from model.waveform import SAMPLE_RATE_HZ

CLIP_S = 3.0
N_CLIPS_EACH = 4
START_S = 180.0
LONGEST_LOAD_S = 2.0
SETTINGS = {
    "VOUCH_DEVICE": "cpu",
    "VOUCH_ENGINE": "onnxruntime",
    "VOUCH_WORKERS": "1",
    "VOUCH_LOG_LEVEL": "error",
    "VOUCH_ENROLL_MIN_SPEECH_S": "1",  # one clip makes a speaker one who is found
    "VOUCH_ENROLL_MIN_LLR": "-1000",  # whose voice it is is another test's question
}
KINDS = {"load": 0.45, "writing": 0.3, "starting": 0.2, "migrating": 0.05}


class NotStarted(Exception):
    """The service is not there after a start."""


class Service:
    """One process of `vouch serve`, on a database of ours."""

    def __init__(self, database: FaultDatabase, log: Path) -> None:
        self.port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
        ours = {"VOUCH_DATA_DIR": str(database.folder), "PYTHONPATH": str(ROOT)}
        environ = inherited | SETTINGS | ours | database.environ
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # nosec B603 # our own command
                [*SERVE, "--port", str(self.port)], cwd=ROOT, env=environ, stderr=errors
            )

    def wait(self) -> None:
        """Until it answers."""
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise NotStarted(f"the service stopped by itself with status {self._process.returncode}")
            try:
                if get(self.port, "/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)  # another process: there is nothing to wait on but its answer
        raise NotStarted(f"the service was not ready within {START_S:g} s")

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> list[int]:
        """Its children, which are to end by themselves."""
        children = family(self._process.pid)[1:]
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return children


class Faults:
    """One service's life of many deaths."""

    def __init__(self, folder: Path, database: FaultDatabase, n_clients: int, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.errors: list[str] = []
        self.n_in_flight = 0
        self.start_s = 4.0
        """How long a start takes, as the last one did."""
        self.ledger = Ledger(folder / "ledger")
        self._folder, self._n_clients, self._seed = folder, n_clients, seed
        self._database = database
        self._log = folder / "service.log"
        self._rng = random.Random(seed)
        self._clips = clips_by_name()
        self._children: list[int] = []

    def run(self, n_kills: int) -> None:
        self._started().kill()  # makes the database
        self._database.add_ballast()
        pending: list[Intent] = []
        service = self._started()
        while self.kills.total() < n_kills and not self.errors:
            kind = self._rng.choices(list(KINDS), list(KINDS.values()))[0]
            if kind == "migrating":
                self._kill_while_migrating()
                continue
            pending = self._kill_under_load(service, kind)
            if kind == "starting" and self.kills.total() < n_kills:
                self._kill_while_starting()
            service = self._started()
            self._check(service, pending)
        service.kill()
        replayed = read_ledger(self._folder / "ledger", self._folder / "scratch")
        if (replayed.lives, replayed.gone) != (self.ledger.lives, self.ledger.gone):
            self.errors.append("wrong_answer: the ledger on the disk is not the one in memory")

    def figures(self) -> dict[str, object]:
        kinds = Counter(error.partition(":")[0] for error in self.errors)
        return {
            "kills": self.kills.total(),
            "acknowledged": self.ledger.n_acknowledged,
            "lost": kinds["lost"],
            "resurrected": kinds["resurrected"],
            "in_flight": self.n_in_flight,
            "faults": len(self.errors),
            **{f"kills_{kind}": self.kills[kind] for kind in KINDS},
        }

    def _started(self) -> Service:
        begin_s = time.monotonic()
        service = Service(self._database, self._log)
        service.wait()
        self.start_s = time.monotonic() - begin_s
        for child in self._children:
            if (Path("/proc") / str(child)).exists():
                self.errors.append(f"unsound: process {child} outlived the service that started it")
        self._children = []
        return service

    def _kill_under_load(self, service: Service, kind: str) -> list[Intent]:
        n = self.kills.total()
        clients = [
            Client(number, service.port, self.ledger, self._clips, f"{self._seed}-{n}-{number}")
            for number in range(self._n_clients)
        ]
        for client in clients:
            client.start()
        time.sleep(self._rng.uniform(0.05, LONGEST_LOAD_S))  # the random moment of the kill
        if kind == "writing":
            self._await_writing(self._database, service)
        if not service.is_alive():
            self.errors.append("unsound: the service stopped by itself under load")
        self._children = service.kill()
        self.kills["writing" if kind == "writing" else "load"] += 1
        for client in clients:
            client.join()
            self.errors += client.errors
        pending = [client.pending for client in clients if client.pending is not None]
        self.n_in_flight += len(pending)
        return pending

    def _kill_while_starting(self) -> None:
        service = Service(self._database, self._log)
        time.sleep(self._rng.uniform(0, 1.1 * self.start_s))  # the random moment of the kill
        service.kill()
        self.kills["starting"] += 1

    def _kill_while_migrating(self) -> None:
        """A database that is to be migrated: killed while that writes, it is then migrated all the same."""
        with self._database.older() as older:
            service = Service(older, self._log)
            self._await_writing(older, service)
            service.kill()
            self.kills["migrating"] += 1
            service = Service(older, self._log)
            service.wait()
            self.errors += [*older.unsound(0), *older.lost_by_migration(service.port)]
            service.kill()

    def _await_writing(self, database: FaultDatabase, service: Service) -> None:
        deadline_s = time.monotonic() + 2 * self.start_s + 5
        database.await_writing(lambda: time.monotonic() < deadline_s and service.is_alive())
        time.sleep(self._rng.choice((0.0, self._rng.uniform(0, 0.05))))  # somewhere within the commit

    def _check(self, service: Service, pending: list[Intent]) -> None:
        check = Check(service.port, self._database, self.ledger, self._clips)
        check.everything(pending)
        self.errors += check.errors


def clips_by_name() -> Mapping[str, bytes]:
    """By name: `a1` and so on of voice a."""
    n = round(CLIP_S * SAMPLE_RATE_HZ)
    found = {}
    for voice, names in (("a", ("speaker-a-1", "speaker-a-2", "speaker-a-3")), ("b", ("speaker-b-1",))):
        pieces = [
            said[begin : begin + n] for said in map(example, names) for begin in range(0, len(said) - n + 1, n // 2)
        ]
        found |= {f"{voice}{number}": encoded(piece) for number, piece in enumerate(pieces[:N_CLIPS_EACH], start=1)}
    return found


@contextmanager
def sqlite_database(folder: Path) -> Iterator[FaultDatabase]:
    yield SqliteDatabase(folder)


@contextmanager
def postgres_database(folder: Path) -> Iterator[FaultDatabase]:
    with postgres_server() as server, server.database() as url:
        yield PostgresDatabase(folder, server, url)


DATABASES = {"sqlite": sqlite_database, "postgres": postgres_database}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, default="sqlite")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, DATABASES[arguments.database](Path(folder) / "data") as database:
        faults = Faults(Path(folder), database, arguments.clients, arguments.seed)
        try:
            faults.run(arguments.kills)
        except NotStarted as error:
            faults.errors.append(f"unsound: {error}")
        for error in faults.errors:
            print(error)
        figures = faults.figures()
        if faults.errors:
            print((Path(folder) / "service.log").read_text(encoding="utf-8", errors="replace")[-3000:])
    print(
        f"{faults.kills.total()} kills in {(time.monotonic() - begin_s) / 60:.1f} minutes, seed {arguments.seed}, {arguments.database}."
    )
    print(json.dumps(figures), flush=True)
    sys.exit(1 if faults.errors else 0)


if __name__ == "__main__":
    main()
