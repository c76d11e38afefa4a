"""Gallery in memory, on FAISS: an index for each tenant, exact or inverted as its size has it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import numpy as np

from app.adapters.faiss_index import Everything, Numbers, TenantIndex
from app.adapters.faiss_inverted import FindCentroids, find_centroids
from app.adapters.faiss_regrouping import Regrouping
from app.adapters.gallery_checks import GalleryChecks
from app.adapters.readers_writer_lock import ReadersWriterLock
from app.records import Candidate, Reference, ReferenceBatch
from model.scoring import Embedding

DEFAULT_EXACT_UP_TO = 1_000_000
_N_REMOVED_AT_ONCE = 1024
"""How many removals searches wait for."""


class FaissGallery:
    """Fulfils `app.ports.Gallery`, where the contract is written, for the references of one encoder.

    Embeddings are rounded to float16, which moves a cosine by less than 0.0005.
    """

    def __init__(
        self,
        encoder_id: str,
        n_embedding: int,
        exact_up_to: int = DEFAULT_EXACT_UP_TO,
        find: FindCentroids = find_centroids,
    ) -> None:
        """Beyond `exact_up_to` references of one tenant, an inverted index is built in the background where `find` finds
        centroids that are worth it.
        """
        self._checks = GalleryChecks(encoder_id, n_embedding)
        self._tenants: dict[str, TenantIndex] = {}
        # Held by a search for one shard at a time, so that a change waits for a millisecond and not for a whole scan.
        self._lock = ReadersWriterLock()
        # One change at a time: one that comes while the gallery is rebuilt waits, and then applies to the new one.
        self._changing = threading.Lock()
        self._regrouping = Regrouping(self._tenants, self._lock, self._changing, n_embedding, exact_up_to, find)

    @property
    def encoder_id(self) -> str:
        return self._checks.encoder_id

    @property
    def is_kept(self) -> bool:
        return False

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        """Replaces everything, at once; searches find the old references until then.

        References of another encoder are left out: those speakers are stale. Raises ValueError, and changes nothing,
        where one has a wrong number of elements or no direction.
        """
        with self._changing:
            tenants: dict[str, TenantIndex] = {}
            highest: dict[str, int] = {}
            for batch in batches:
                for tenant, numbers, embeddings in self._by_tenant(batch):
                    index = self._index_of(tenants, tenant)
                    if numbers[0] > highest.get(tenant, -1) and np.all(np.diff(numbers) > 0):
                        index.fill(numbers, embeddings)
                    else:
                        # Not in order, as no store gives them: somebody may come twice.
                        for number, embedding in zip(numbers.tolist(), embeddings, strict=True):
                            index.put(number, embedding)
                    highest[tenant] = max(int(numbers.max()), highest.get(tenant, -1))
            with self._lock.writing():
                self._tenants.clear()
                self._tenants.update(tenants)
            for tenant, index in tenants.items():
                self._regrouping.consider(tenant, index)

    def upsert(self, reference: Reference) -> None:
        """Raises ModelMismatch for another encoder's reference, ValueError for one that cannot be scored."""
        embedding = self._checks.reference(reference).embedding
        with self._changing:
            self._regrouping.note(reference.tenant, {reference.number: embedding})
            with self._lock.writing():
                index = self._index_of(self._tenants, reference.tenant)
                index.put(reference.number, embedding)
            self._regrouping.consider(reference.tenant, index)

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        gone = np.array(list(numbers), dtype=np.int64)
        with self._changing:
            index = self._tenants.get(tenant)
            if index is None:
                return
            self._regrouping.note(tenant, dict.fromkeys(gone.tolist()))
            for start in range(0, len(gone), _N_REMOVED_AT_ONCE):
                with self._lock.writing():
                    index.drop(gone[start : start + _N_REMOVED_AT_ONCE])
            if len(index):
                self._regrouping.consider(tenant, index)
                return
            with self._lock.writing():
                del self._tenants[tenant]

    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> tuple[Candidate, ...]:
        """Raises ValueError for an embedding that cannot be scored."""
        if n_candidates < 1:
            raise ValueError(f"a search brings up at least 1 candidate; got {n_candidates}")
        embedding = self._checks.embedding(embedding)
        # An index that is replaced meanwhile stays as it was: the answer is that of the moment of replacing.
        with self._lock.reading():
            index = self._tenants.get(tenant)
        if index is None:
            return ()
        probe = index.layout.probe(embedding)
        found: dict[int, float] = {}
        for shard in index.shards:
            with self._lock.reading():
                scores = shard.nearest(probe, n_candidates)
            found.update((number, score) for score, number in scores)
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:n_candidates]
        # Rounding may put a clip's score with itself a little above 1.
        return tuple(Candidate(number, min(1.0, max(-1.0, score))) for number, score in best)

    def size(self, tenant: str) -> int:
        with self._lock.reading():
            index = self._tenants.get(tenant)
            return len(index) if index else 0

    def numbers(self) -> Mapping[str, Numbers]:
        with self._lock.reading():
            tenants = dict(self._tenants)
        return {tenant: self._numbers_of(index) for tenant, index in tenants.items()}

    def wait(self) -> None:
        """Until no index is being replaced. For tests and benchmarks."""
        self._regrouping.wait()

    def is_exact(self, tenant: str) -> bool:
        """Whether a search scans everybody."""
        with self._lock.reading():
            index = self._tenants.get(tenant)
            return index is None or isinstance(index.layout, Everything)

    def close(self) -> None:
        self._regrouping.close()

    def _by_tenant(self, batch: ReferenceBatch) -> Iterable[tuple[str, Numbers, Embedding]]:
        """The rows of this gallery's encoder, at least one a tenant, checked."""
        ours = self._checks.batch(batch)
        embeddings = ours.embeddings
        tenants = list(dict.fromkeys(ours.tenants))
        if not tenants:
            return
        if len(tenants) == 1:
            yield tenants[0], ours.numbers, embeddings
            return
        places = {tenant: place for place, tenant in enumerate(tenants)}
        owners = np.array([places[tenant] for tenant in ours.tenants])
        for tenant, place in places.items():
            yield tenant, ours.numbers[owners == place], embeddings[owners == place]

    def _numbers_of(self, index: TenantIndex) -> Numbers:
        found = []
        for shard in index.shards:
            with self._lock.reading():
                found.append(shard.numbers())
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    def _index_of(self, tenants: dict[str, TenantIndex], tenant: str) -> TenantIndex:
        if tenant not in tenants:
            tenants[tenant] = TenantIndex(self._checks.n_embedding, Everything())
        return tenants[tenant]
