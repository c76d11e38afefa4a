"""Gallery in PostgreSQL, on pgvector: whichever replica is asked, it searches what all of them have enrolled."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import HalfVector
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import ColumnElement, Connection, Double, bindparam, cast, func, select, text
from sqlalchemy.exc import IntegrityError

from app.adapters import pgvector_references
from app.adapters.database import Database
from app.adapters.gallery_checks import GalleryChecks
from app.adapters.gallery_choice import is_filled, note_filled
from app.adapters.pgvector_index import IndexMaker
from app.adapters.pgvector_references import references
from app.adapters.postgres import lift_limits
from app.records import Candidate, Reference, ReferenceBatch
from model.scoring import Embedding

DEFAULT_EXACT_UP_TO = 10_000
"""References of a tenant up to whom everybody is scanned, in any table."""
EXACT_SQUARE = 200
"""In a table of n references, a tenant of up to sqrt(200 n) is scanned: the index is of all tenants, so that the smaller the
share, the more of others a search has to pass over."""
MAX_PASSED_OVER = 200_000
"""References that a search of the index passes over at most (hnsw.max_scan_tuples): other tenants', and those of rows that are
dead and not vacuumed yet."""
N_LOOKED_AT = 400
"""Speakers whom a search of the index keeps in mind (hnsw.ef_search): of planted probes among a million, 99.9 % then have the
best candidate of an exact scan; with 200, 99.0 %, and with 40, which is pgvector's own, 93.7 % (bench/gallery_postgres.py)."""
_MOST_LOOKED_AT = 1000
RECOUNT_S = 10.0
MAX_SHARE_OF_TIME = 0.01
"""Spent on counting a tenant who has more speakers."""


@dataclass(frozen=True)
class _Count:
    n: int
    at_s: float
    took_s: float

    def is_fresh(self, now_s: float) -> bool:
        return now_s - self.at_s < max(RECOUNT_S, self.took_s / MAX_SHARE_OF_TIME)


class PgvectorGallery:
    """Fulfils `app.ports.Gallery`, where the contract is written, for the references of one encoder.

    Embeddings, of references and of probes, are rounded to float16, which moves a cosine by less than 0.0005. The size of a
    tenant who is not scanned is that of a while ago.
    """

    def __init__(
        self,
        database: Database,
        encoder_id: str,
        n_embedding: int,
        min_speech_s: float,
        exact_up_to: int = DEFAULT_EXACT_UP_TO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Whoever has less than `min_speech_s` of enrolled speech is not found. `clock` gives seconds since any moment."""
        self._database = database
        self._checks = GalleryChecks(encoder_id, n_embedding)
        self._exact_up_to = exact_up_to
        self._clock = clock
        self._index = IndexMaker(database, encoder_id, n_embedding)
        self._counts: dict[str, _Count] = {}
        # The encoder within the statement itself: only so does PostgreSQL see that its index fits.
        self._is_ours = references.c.encoder_id == bindparam(None, encoder_id, literal_execute=True)
        self._is_enrolled = references.c.speech_s >= min_speech_s
        with database.reading() as connection:
            self._is_kept = is_filled(connection)
        if self._is_kept:
            self._index.start()

    @property
    def encoder_id(self) -> str:
        return self._checks.encoder_id

    @property
    def is_kept(self) -> bool:
        return self._is_kept

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        """Raises ValueError, and changes nothing, where one has a wrong number of elements or no direction."""
        with self._database.writing() as connection:
            lift_limits(connection)
            was_filled = note_filled(connection)
            # Else another replica, which started at the same time, has done it.
            if self._is_kept or not was_filled:
                pgvector_references.fill(connection, self.encoder_id, map(self._checks.batch, batches))
        self._is_kept = True
        self._counts.clear()
        self._index.start()

    def upsert(self, reference: Reference) -> None:
        """Raises ModelMismatch for another encoder's reference, ValueError for one that cannot be scored."""
        reference = self._checks.reference(reference)
        try:
            with self._database.writing() as connection:
                pgvector_references.put(connection, reference)
        except IntegrityError:
            pass  # the speaker was erased meanwhile

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        numbers = list(numbers)
        self._database.write(lambda connection: pgvector_references.remove(connection, tenant, numbers))

    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> tuple[Candidate, ...]:
        """Raises ValueError for an embedding that cannot be scored."""
        if n_candidates < 1:
            raise ValueError(f"a search brings up at least 1 candidate; got {n_candidates}")
        probe = bindparam(None, HalfVector(self._checks.embedding(embedding)), HALFVEC)
        with self._database.reading() as connection:
            if self._count(connection, tenant) <= self._limit(connection):
                distance: ColumnElement[float] = references.c.embedding.op("<#>", return_type=Double())(probe)
                found = self._nearest(connection, tenant, distance, [distance, references.c.speaker_seq], n_candidates)
            else:
                _look_at(connection, max(N_LOOKED_AT, 2 * n_candidates))
                indexed = cast(references.c.embedding, HALFVEC(self._checks.n_embedding))
                distance = indexed.op("<#>", return_type=Double())(probe)
                # An index orders by distance alone.
                found = self._nearest(connection, tenant, distance, [distance], n_candidates)
        return tuple(sorted(found, key=lambda one: (-one.score, one.number)))

    def size(self, tenant: str) -> int:
        with self._database.reading() as connection:
            return self._count(connection, tenant)

    def numbers(self) -> Mapping[str, NDArray[np.int64]]:
        held = select(references.c.tenant, func.array_agg(references.c.speaker_seq))
        with self._database.reading() as connection:
            rows = connection.execute(held.where(self._is_ours, self._is_enrolled).group_by(references.c.tenant))
            return {tenant: np.array(numbers, dtype=np.int64) for tenant, numbers in rows}

    def wait(self) -> None:
        """Until there is an index. For tests and benchmarks."""
        self._index.wait()

    def close(self) -> None:
        """PostgreSQL does whatever there is to do in the background."""

    def _of(self, tenant: str) -> tuple[ColumnElement[bool], ...]:
        return self._is_ours, references.c.tenant == tenant, self._is_enrolled

    def _nearest(
        self,
        connection: Connection,
        tenant: str,
        distance: ColumnElement[float],
        order: list[ColumnElement[Any]],
        n: int,
    ) -> list[Candidate]:
        query = select(references.c.speaker_seq, distance.label("distance")).where(*self._of(tenant))
        rows = connection.execute(query.order_by(*order).limit(n))
        # The distance is the negative cosine. Rounding may put a clip's score with itself a little above 1.
        return [Candidate(number, min(1.0, max(-1.0, -negative))) for number, negative in rows]

    def _limit(self, connection: Connection) -> int:
        """Up to how many of a tenant everybody is scanned, by PostgreSQL's own estimate of how many there are of all."""
        n_all: float = connection.execute(_N_ALL).scalar_one()
        return max(self._exact_up_to, math.isqrt(EXACT_SQUARE * max(0, round(n_all)))) if self._exact_up_to else 0

    def _count(self, connection: Connection, tenant: str) -> int:
        """Exact up to the limit; beyond, as it was a while ago, since counting passes over all of them."""
        count, now_s = self._counts.get(tenant), self._clock()
        if count is not None and count.is_fresh(now_s):
            return count.n
        limit = self._limit(connection)
        some = select(references.c.speaker_seq).where(*self._of(tenant)).limit(limit + 1)
        n: int = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
        if n <= limit:
            self._counts.pop(tenant, None)
            return n
        if count is not None:
            self._counts[tenant] = replace(count, at_s=now_s)  # for whoever comes while this one counts
        everybody = select(func.count()).select_from(references).where(*self._of(tenant))
        n = connection.execute(everybody).scalar_one()
        self._counts[tenant] = _Count(n, self._clock(), self._clock() - now_s)
        return n


_N_ALL = select(text("reltuples")).select_from(text("pg_class")).where(text("oid = 'speaker_references'::regclass"))


def _look_at(connection: Connection, n_speakers: int) -> None:
    """How far this transaction's searches of the index go: on, until enough of whom they find are the tenant's."""
    for name, value in (
        ("hnsw.ef_search", str(min(n_speakers, _MOST_LOOKED_AT))),
        ("hnsw.iterative_scan", "relaxed_order"),
        ("hnsw.max_scan_tuples", str(MAX_PASSED_OVER)),
        # Of work_mem, for those that were passed over.
        ("hnsw.scan_mem_multiplier", "10"),
    ):
        connection.execute(select(func.set_config(name, value, True)))
