"""Does pgvector find whom an exact scan finds, and how long does it take beside FAISS?

    python bench/gallery_postgres.py --speakers 100000 [--tenants 20] [--json]

Speakers of 192 dimensions, spread as voices are, in a real PostgreSQL, filled and searched by the service's own gallery;
FAISS by the service's own too, exact, on one thread. Both are asked by turns.

- top1_agreement: of 10,000 planted probes, those whose best candidate is that of a float32 scan (bar: 0.995)
- search_ms, faiss_search_ms: the median of one search, each after the other
- table_bytes, index_bytes: on PostgreSQL's disk, a speaker
- fill_s, index_s: to write all of them, and to make their index
- write_ms: to write one reference into all of them
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import record
from gallery_crowd import ENCODER_ID, MASTER, N_EMBEDDING, Crowd, Planted, batches, planted
from planting import PLANT
from postgres_server import postgres_server
from sqlalchemy import text

from app.adapters.database import Database, open_database
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.gallery_choice import choose_gallery
from app.adapters.pgvector_gallery import DEFAULT_EXACT_UP_TO, PgvectorGallery
from app.adapters.pgvector_references import make_references
from app.ports import Gallery
from app.records import Reference, ReferenceBatch
from app.usecases.identify import N_EXTRA_CANDIDATES
from model.scoring import Embedding

N_PROBES = 10_000
N_TIMED = 500
N_WRITES = 100
SERVER = {"shared_buffers": "2GB", "max_wal_size": "4GB", "maintenance_work_mem": "3GB"}
"""As for a machine of 8 GB or more; PostgreSQL's own defaults are for one of 256 MB."""


def tenant_of(number: int, n_tenants: int) -> str:
    return f"tenant-{number % n_tenants}"


def crowd_batches(crowd: Crowd, n_tenants: int) -> Iterator[ReferenceBatch]:
    for batch in batches(crowd):
        yield replace(batch, tenants=tuple(tenant_of(number, n_tenants) for number in batch.numbers.tolist()))


def fill(database: Database, crowd: Crowd, n_tenants: int, exact_up_to: int) -> tuple[PgvectorGallery, float, float]:
    """The gallery, and the seconds of filling it and of its index: 0 where a former run has done it."""
    with database.writing() as connection:
        make_references(connection)
        choose_gallery(connection, "pgvector")
    gallery = PgvectorGallery(database, ENCODER_ID, N_EMBEDDING, 0.0, exact_up_to)
    if gallery.is_kept:
        gallery.wait()
        return gallery, 0.0, 0.0
    for batch in crowd_batches(crowd, n_tenants):
        with database.writing() as connection:
            connection.execute(PLANT, {"tenants": list(batch.tenants), "numbers": batch.numbers.tolist()})
    began_s = time.perf_counter()
    gallery.rebuild(crowd_batches(crowd, n_tenants))
    filled_s = time.perf_counter()
    gallery.wait()
    indexed_s = time.perf_counter()
    with database.without_transaction() as connection:
        connection.execute(text("VACUUM ANALYZE speaker_references"))
    return gallery, filled_s - began_s, indexed_s - filled_s


def top1_agreement(gallery: Gallery, stored: Embedding, found: Planted, n_tenants: int) -> float:
    """As identify ranks: the gallery's candidates, by their float32 cosine."""

    def best(turn: int) -> int:
        tenant = tenant_of(int(found.best[turn]), n_tenants)
        candidates = gallery.search(tenant, found.probes[turn], 1 + N_EXTRA_CANDIDATES)
        numbers = [one.number for one in candidates]
        return numbers[int(np.argmax(stored[np.array(numbers) - 1] @ found.probes[turn]))]

    with ThreadPoolExecutor(2) as threads:
        numbers = np.fromiter(threads.map(best, range(len(found.probes))), dtype=np.int64, count=len(found.probes))
    return float(np.mean(numbers == found.best))


def search_ms(one: Gallery, other: Gallery, found: Planted, n_tenants: int) -> tuple[float, float]:
    """Medians, of searches by turns."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(-20, N_TIMED):
        tenant = tenant_of(int(found.best[turn]), n_tenants)
        for gallery, times in zip((one, other), took, strict=True):
            began_s = time.perf_counter()
            gallery.search(tenant, found.probes[turn], 1 + N_EXTRA_CANDIDATES)
            if turn >= 0:
                times.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(took[0]), statistics.median(took[1])


def write_ms(gallery: PgvectorGallery, stored: Embedding, n_tenants: int) -> float:
    """The median of changing one reference, with its commit."""
    rng, times = np.random.default_rng(3), []
    for number in rng.integers(1, len(stored) + 1, N_WRITES).tolist():
        tenant = tenant_of(number, n_tenants)
        one = Reference(number, tenant, "", None, ENCODER_ID, stored[number - 1], 1, 6.0, None)
        began_s = time.perf_counter()
        gallery.upsert(one)
        times.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(times)


def sizes(database: Database) -> tuple[int, int]:
    """Bytes of the table and of the index of vectors."""
    with database.reading() as connection:
        table, index = connection.execute(
            text("SELECT pg_relation_size('speaker_references'), pg_relation_size(:index)"),
            {"index": f"ix_speaker_references_{ENCODER_ID}"},
        ).one()
    return table, index


def measured(
    n: int, n_tenants: int = 1, exact_up_to: int = DEFAULT_EXACT_UP_TO, data: Path | None = None
) -> dict[str, float]:
    """The figures of so many speakers, on a server of their own: in the folder `data`, which then stays, or in none."""
    faiss.omp_set_num_threads(1)
    crowd = Crowd(n, is_like_voices=True)
    stored = np.concatenate(list(crowd.blocks()))
    found = planted(stored, N_PROBES)
    in_memory = FaissGallery(ENCODER_ID, N_EMBEDDING, 10**12)
    in_memory.rebuild(crowd_batches(crowd, n_tenants))
    with postgres_server(SERVER, data) as server, closing(open_database(server.url(), MASTER)) as database:
        gallery, fill_s, index_s = fill(database, crowd, n_tenants, exact_up_to)
        table, index = sizes(database)
        agreement = top1_agreement(gallery, stored, found, n_tenants)
        ours_ms, faiss_ms = search_ms(gallery, in_memory, found, n_tenants)
        return {
            "speakers": n,
            "tenants": n_tenants,
            "top1_agreement": agreement,
            "search_ms": ours_ms,
            "faiss_search_ms": faiss_ms,
            "table_bytes": table / n,
            "index_bytes": index / n,
            "fill_s": fill_s,
            "index_s": index_s,
            "write_ms": write_ms(gallery, stored, n_tenants),
        }


def told(figures: Mapping[str, float]) -> str:
    return (
        f"{figures['speakers']:,} speakers of {figures['tenants']} tenants: filled in {figures['fill_s']:.0f} s, indexed in "
        f"{figures['index_s']:.0f} s. Of {N_PROBES:,} planted probes {figures['top1_agreement']:.2%} have the best candidate "
        f"of the float32 scan. A search takes {figures['search_ms']:.1f} ms, in FAISS {figures['faiss_search_ms']:.1f} ms; a "
        f"reference is written in {figures['write_ms']:.1f} ms."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=100_000)
    parser.add_argument("--tenants", type=int, default=1, help="among whom they are shared out evenly")
    parser.add_argument("--exact-up-to", type=int, default=DEFAULT_EXACT_UP_TO)
    parser.add_argument(
        "--data", type=Path, help="folder to keep PostgreSQL's data in, for another run on the same ones"
    )
    record.add_arguments(parser)
    arguments = parser.parse_args()
    figures = measured(arguments.speakers, arguments.tenants, arguments.exact_up_to, arguments.data)
    print(told(figures), flush=True)
    record.finish(arguments, figures, told(figures))


if __name__ == "__main__":
    main()
