"""Galleries of FAISS and pgvector for tests, voices to put into them, and what it takes for two answers to be alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager

import numpy as np
from planting import PLANT
from sqlalchemy import delete

from app.adapters.database import Database, open_database
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.faiss_index import Centroids
from app.adapters.faiss_inverted import Found, Rows
from app.adapters.gallery_choice import choose_gallery
from app.adapters.pgvector_gallery import PgvectorGallery
from app.adapters.pgvector_references import make_references
from app.adapters.postgres_tables import deployment
from app.adapters.tables import speakers
from app.records import Candidate, Reference, ReferenceBatch
from model.scoring import Embedding, unit
from samples import ENCODER_ID, MASTER, N_EMBEDDING, batch, numbers

SCORE_TOLERANCE = 2.0**-11
"""float16 keeps 11 bits, so each product of a cosine is off by this share of itself at most, and the products' absolute
values sum up to 1 at most."""


class Settled(FaissGallery):
    """Every call ends when the index suits its size: what comes next meets the new one."""

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        super().rebuild(batches)
        self.wait()

    def upsert(self, reference: Reference) -> None:
        super().upsert(reference)
        self.wait()

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        super().remove(tenant, numbers)
        self.wait()


def look_everywhere(rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
    """Some voices as centroids, and searches that look into all lists: an inverted index that answers as a scan does."""
    some = np.concatenate([embeddings for _, embeddings in rows()])[:8]
    return Found(Centroids(some, len(some)), len(some), len(some))


def inverted(n_embedding: int) -> Settled:
    """Inverted from the third speaker of a tenant on, and exact all the same."""
    return Settled(ENCODER_ID, n_embedding, exact_up_to=2, find=look_everywhere)


class Planted(PgvectorGallery):
    """Whoever is put into it has a row of a speaker, without which PostgreSQL keeps no reference."""

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        super().rebuild(map(self._plant, batches))

    def upsert(self, reference: Reference) -> None:
        self._plant(batch([reference]))
        super().upsert(reference)

    def _plant(self, batch: ReferenceBatch) -> ReferenceBatch:
        with self._database.writing() as connection:
            connection.execute(PLANT, {"tenants": list(batch.tenants), "numbers": batch.numbers.tolist()})
        return batch


@contextmanager
def postgres_database(url: str) -> Iterator[Database]:
    """With a table of references, in which there is nobody."""
    with closing(open_database(url, MASTER)) as database:
        with database.writing() as connection:
            make_references(connection)
        yield database


def planted(database: Database, exact_up_to: int) -> Planted:
    """Empty. Who was in the database is no more."""
    with database.writing() as connection:
        connection.execute(delete(speakers))
        connection.execute(delete(deployment))
        choose_gallery(connection, "pgvector")
    # By this clock no count is fresh.
    gallery = Planted(database, ENCODER_ID, N_EMBEDDING, 0.0, exact_up_to, clock=lambda: math.nan)
    gallery.rebuild([])
    gallery.wait()
    return gallery


def families(seed: int, n: int, n_embedding: int = 192, n_families: int = 16) -> Embedding:
    """(n, n_embedding) unit: voices in groups that are alike (cosine about 0.7), as random ones never are."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((n_families, n_embedding)).astype(np.float32))
    own = unit(rng.standard_normal((n, n_embedding)).astype(np.float32))
    return unit(centres[rng.integers(n_families, size=n)] + np.float32(0.6) * own)


def probes_of(embeddings: Embedding, seed: int, cosine: float = 0.7) -> Embedding:
    """A probe of each, with about this cosine to it."""
    noise = np.random.default_rng(seed).standard_normal(embeddings.shape).astype(np.float32)
    noise -= np.sum(noise * embeddings, axis=1, keepdims=True) * embeddings
    return unit(np.float32(cosine) * embeddings + np.float32(np.sqrt(1 - cosine**2)) * unit(noise))


def assert_alike(found: tuple[Candidate, ...], expected: tuple[Candidate, ...], everybody: Mapping[int, float]) -> None:
    """The same scores in the same order, to the tolerance; among scores so near, whose they are is open."""
    np.testing.assert_allclose([one.score for one in found], [one.score for one in expected], atol=SCORE_TOLERANCE)
    assert len(set(numbers(found))) == len(found)
    for one in found:
        assert abs(one.score - everybody[one.number]) <= SCORE_TOLERANCE
