"""What does an erasure cost, and what do others wait for it?

    python bench/erasure.py [--enrollments 10000 200000] [--erasures 20] [--json] [--no-record]

Speakers of one clip each, made up, in a SQLite file. Speakers are erased one after the other while one thread reads and one
writes all the time: `search` as the service does it, by looking for copies in the file, and `rewrite` by rewriting the file each
time, as it did before. The two come in turn, on one file, and between them half a second of nobody erasing. Printed, as
medians over the erasures: how long one took, and the longest read and write beside it.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from gallery_crowd import MASTER, Crowd, fill
from record import add_arguments, finish
from sqlalchemy import delete, select, update

from app.adapters.database import Database, open_database
from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore
from app.adapters.tables import speakers
from app.records import DEFAULT_TENANT

QUIET_S = 0.5
"""For which reader and writer are watched while nobody erases."""


@dataclass
class Waits:
    """Milliseconds of one transaction each."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    begin_s = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - begin_s)


def read(database: Database, number: int) -> None:
    with database.reading() as connection:
        connection.execute(select(speakers).where(speakers.c.seq == number)).all()


def write(database: Database, number: int) -> None:
    with database.writing() as connection:
        connection.execute(update(speakers).where(speakers.c.seq == number).values(display_name=f"{time.time_ns()}"))


@contextmanager
def others(database: Database, number: int) -> Iterator[Waits]:
    """A reader and a writer at work."""
    waits, is_over = Waits(), threading.Event()

    def repeat(work: Callable[[Database, int], None], into: list[float]) -> None:
        while not is_over.is_set():
            into.append(timed(lambda: work(database, number)))

    threads = [
        threading.Thread(target=repeat, args=(read, waits.reads)),
        threading.Thread(target=repeat, args=(write, waits.writes)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def rewrite(database: Database, speaker_id: str) -> None:
    with database.erasing() as connection:
        connection.execute(delete(speakers).where(speakers.c.speaker_id == speaker_id))


def measure(n_enrollments: int, n_erasures: int) -> tuple[dict[str, float], str]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vouch.db"
        fill(path, Crowd(n_enrollments))
        database = open_database(f"sqlite:///{path}", MASTER)
        store = SqlSpeakerStore(database, Sealer(MASTER))
        erase: dict[str, Callable[[str], object]] = {
            # Nobody erases for so long, and the others' waits are what it is measured for.
            "nothing": lambda _: time.sleep(QUIET_S),
            "search": partial(store.erase_speaker, DEFAULT_TENANT),
            "rewrite": partial(rewrite, database),
        }
        found: dict[str, list[list[float]]] = {how: [] for how in erase}
        speaker_ids = (f"speaker-{number}" for number in range(1, n_enrollments))
        for _ in range(n_erasures):
            for how, work in erase.items():
                with others(database, n_enrollments) as waits:
                    erasure_ms = timed(partial(work, next(speaker_ids)))
                found[how].append([erasure_ms, max(waits.reads), max(waits.writes)])
        n_bytes = path.stat().st_size
        database.close()
    names = ("ms", "read_wait_ms", "write_wait_ms")
    figures = {
        f"{how}_{name}": value
        for how, rows in found.items()
        for name, value in zip(names, np.median(rows, axis=0).tolist(), strict=True)
    }
    for name in names:
        figures[f"rewrite_over_search_{name}"] = figures[f"rewrite_{name}"] / figures[f"search_{name}"]
    return figures, sentences(n_enrollments, n_bytes, figures)


def sentences(n_enrollments: int, n_bytes: int, figures: dict[str, float]) -> str:
    text = (
        f"{n_enrollments:,} enrollments, {n_bytes / 2**20:.0f} MiB; medians over the erasures. While nobody erased the longest "
        f"read took {figures['nothing_read_wait_ms']:.0f} ms and the longest write {figures['nothing_write_wait_ms']:.0f}."
    )
    for how in ("search", "rewrite"):
        text += (
            f" {how.capitalize()}: an erasure took {figures[f'{how}_ms']:.0f} ms, the longest read beside it "
            f"{figures[f'{how}_read_wait_ms']:.0f} and the longest write {figures[f'{how}_write_wait_ms']:.0f}."
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--enrollments", type=int, nargs="+", default=[10_000, 200_000])
    parser.add_argument("--erasures", type=int, default=20)
    add_arguments(parser)
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    notes = []
    for n_enrollments in arguments.enrollments:
        found, text = measure(n_enrollments, arguments.erasures)
        print(text, flush=True)
        notes.append(text)
        figures |= {f"{name}_{n_enrollments}": value for name, value in found.items()}
    finish(arguments, figures, "\n".join(notes))


if __name__ == "__main__":
    main()
