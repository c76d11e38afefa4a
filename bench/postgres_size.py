"""How much of PostgreSQL's disk does a voice take? Speakers written by the service's own store, and the tables' sizes.

    python bench/postgres_size.py [--speakers 4000] [--clips 3] [--json]

Each speaker has as many clips of six seconds, each with its fingerprint. Everything is written one speaker after the other, as
callers write it, and not packed: this is what a table comes to that nobody has vacuumed into shape. Once with embeddings of
192 numbers, as the encoder that ships has them, and once with 448.

Bytes a speaker, indexes and all: `speakers`, `enrollments`, `fingerprints`; of the references `references`, and of that the
index of vectors `vector_index`; `total` is the whole database but what is there without anybody.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import numpy as np
import record
from gallery_crowd import MASTER
from postgres_server import postgres_server
from sqlalchemy import text

from app.adapters.database import Database, open_database
from app.adapters.galleries import open_gallery
from app.adapters.pgvector_gallery import PgvectorGallery
from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore
from app.records import DEFAULT_TENANT, NewEnrollment
from app.settings import Settings
from model.quality import Quality
from model.scoring import unit
from model.waveform import Source

DIMENSIONS = (192, 448)
CLIP_S = 6.0
FINGERPRINT_WORDS = round(42 * CLIP_S / 4)
"""42 bytes a second, four a word (docs/operations.md)."""
ENCODER_ID = "size"
N_THREADS = 4
SERVER = {"synchronous_commit": "off"}
"""Sizes are the same."""
TABLES = ("speakers", "enrollments", "fingerprints", "speaker_references")


@contextmanager
def stores(n_embedding: int) -> Iterator[tuple[Database, SqlSpeakerStore]]:
    with postgres_server(SERVER) as server, server.database() as url, closing(open_database(url, MASTER)) as database:
        sealer = Sealer(MASTER)
        opened = open_gallery(Settings(database_url=url), database, sealer, ENCODER_ID, n_embedding)
        store = SqlSpeakerStore(database, sealer, follower=opened.follower)
        assert isinstance(opened.gallery, PgvectorGallery)
        opened.gallery.rebuild([])
        opened.gallery.wait()
        yield database, store
        store.close()


def enroll(store: SqlSpeakerStore, number: int, n_clips: int, n_embedding: int) -> None:
    rng = np.random.default_rng(number)
    speaker_id = f"speaker-{number:08}"
    store.create_speaker(DEFAULT_TENANT, speaker_id, f"Speaker {number}", {}, None)
    clips = [
        NewEnrollment(
            embedding=unit(rng.standard_normal(n_embedding).astype(np.float32)),
            quality=Quality(CLIP_S, CLIP_S - 1, 20.0, 0.0),
            source=Source("wav", 16_000, 1),
            fingerprint=rng.integers(0, 2**32, FINGERPRINT_WORDS, dtype=np.uint32),
        )
        for _ in range(n_clips)
    ]
    store.add_enrollments(DEFAULT_TENANT, speaker_id, ENCODER_ID, clips)


def sizes(database: Database) -> dict[str, int]:
    """Bytes, by figure."""
    with database.reading() as connection:
        found = {
            name: int(connection.execute(text("SELECT pg_total_relation_size(:name)"), {"name": name}).scalar_one())
            for name in TABLES
        }
        vectors = text("SELECT pg_relation_size(:name)")
        found["vector_index"] = int(
            connection.execute(vectors, {"name": f"ix_speaker_references_{ENCODER_ID}"}).scalar_one()
        )
        whole = text("SELECT pg_database_size(current_database())")
        found["total"] = int(connection.execute(whole).scalar_one())
    found["references"] = found.pop("speaker_references")
    return found


def measured(n_speakers: int, n_clips: int, n_embedding: int) -> dict[str, float]:
    """Bytes a speaker, by figure."""
    with stores(n_embedding) as (database, store):
        before = sizes(database)
        with ThreadPoolExecutor(N_THREADS) as threads:
            for _ in threads.map(lambda number: enroll(store, number, n_clips, n_embedding), range(n_speakers)):
                pass
        after = sizes(database)
    return {name: (after[name] - before[name]) / n_speakers for name in after}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, default=4000)
    parser.add_argument("--clips", type=int, default=3)
    record.add_arguments(parser)
    arguments = parser.parse_args()
    figures: dict[str, float] = {"speakers": arguments.speakers, "clips": arguments.clips}
    said = []
    for n_embedding in DIMENSIONS:
        found = measured(arguments.speakers, arguments.clips, n_embedding)
        figures |= {f"{name}_{n_embedding}": value for name, value in found.items()}
        each = ", ".join(f"{name} {value:.0f}" for name, value in found.items())
        said.append(f"{n_embedding} dimensions, {arguments.clips} clips a speaker, bytes a speaker: {each}.")
        print(said[-1], flush=True)
    record.finish(arguments, figures, "\n".join(said))


if __name__ == "__main__":
    main()
