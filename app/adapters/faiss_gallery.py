"""Gallery in memory, on FAISS: one exact index a tenant."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import faiss
import numpy as np
from numpy.typing import NDArray

from app.adapters.readers_writer_lock import ReadersWriterLock
from app.errors import ModelMismatch
from app.records import Candidate, Reference
from model.scoring import Embedding, unit

_N_REFERENCES_IN_BATCH = 4096
"""How many references `rebuild` hands to FAISS at a time."""


class FaissGallery:
    """Fulfils `app.ports.Gallery`, where the contract is written, for the references of one encoder."""

    def __init__(self, encoder_id: str, n_embedding: int) -> None:
        self._encoder_id = encoder_id
        self._n_embedding = n_embedding
        self._tenants: dict[str, _TenantIndex] = {}
        self._lock = ReadersWriterLock()
        # One change at a time: one that comes while the gallery is rebuilt waits, and then applies to the new one.
        self._changing = threading.Lock()

    def rebuild(self, references: Iterable[Reference]) -> None:
        """Replaces everything, at once; searches find the old references until then.

        References of another encoder are left out: those speakers are stale. Raises ValueError, and changes nothing,
        where one has a wrong number of elements or no direction.
        """
        with self._changing:
            tenants: dict[str, _TenantIndex] = {}
            batches: dict[str, dict[str, Embedding]] = {}
            for reference in references:
                if reference.encoder_id != self._encoder_id:
                    continue
                batch = batches.setdefault(reference.tenant, {})
                batch[reference.speaker_id] = self._checked(reference.embedding)
                if len(batch) == _N_REFERENCES_IN_BATCH:
                    self._index_of(tenants, reference.tenant).put(batches.pop(reference.tenant))
            for tenant, batch in batches.items():
                self._index_of(tenants, tenant).put(batch)
            with self._lock.writing():
                self._tenants = tenants

    def upsert(self, reference: Reference) -> None:
        """Raises ModelMismatch for another encoder's reference, ValueError for one that cannot be scored."""
        if reference.encoder_id != self._encoder_id:
            raise ModelMismatch(
                f"The reference of speaker {reference.speaker_id!r} is of encoder {reference.encoder_id}, and the "
                f"gallery holds those of {self._encoder_id}. Enrol the speaker with the encoder that is loaded."
            )
        embedding = self._checked(reference.embedding)
        with self._changing, self._lock.writing():
            self._index_of(self._tenants, reference.tenant).put({reference.speaker_id: embedding})

    def remove(self, tenant: str, speaker_id: str) -> None:
        with self._changing, self._lock.writing():
            index = self._tenants.get(tenant)
            if index is None:
                return
            index.drop([speaker_id])
            if not len(index):
                del self._tenants[tenant]

    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> tuple[Candidate, ...]:
        """Exact. Equal scores are ordered by speaker id. Raises ValueError for an embedding that cannot be scored."""
        if n_candidates < 1:
            raise ValueError(f"a search brings up at least 1 candidate; got {n_candidates}")
        embedding = self._checked(embedding)
        with self._lock.reading():
            index = self._tenants.get(tenant)
            found = index.nearest(embedding, n_candidates) if index else []
        return tuple(sorted(found, key=lambda candidate: (-candidate.score, candidate.speaker_id)))

    def size(self, tenant: str) -> int:
        with self._lock.reading():
            index = self._tenants.get(tenant)
            return len(index) if index else 0

    def _index_of(self, tenants: dict[str, _TenantIndex], tenant: str) -> _TenantIndex:
        if tenant not in tenants:
            tenants[tenant] = _TenantIndex(self._n_embedding)
        return tenants[tenant]

    def _checked(self, embedding: Embedding) -> Embedding:
        """As a unit embedding. FAISS itself takes NaN without a word and never finds it again."""
        if embedding.shape != (self._n_embedding,):
            raise ValueError(
                f"the gallery holds embeddings of shape ({self._n_embedding},); got one of shape {embedding.shape}"
            )
        return unit(embedding)


class _TenantIndex:
    """Speakers' unit embeddings in FAISS, which knows numbers only. Not thread-safe but for `nearest`.

    Everything that FAISS is asked goes through here; another kind of index is another `_new_index`.
    """

    def __init__(self, n_embedding: int) -> None:
        self._index = _new_index(n_embedding)
        self._numbers: dict[str, int] = {}
        self._speaker_ids: dict[int, str] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, embeddings: Mapping[str, Embedding]) -> None:
        """Unit embeddings by speaker id; replaces what there was of them."""
        self.drop(embeddings)
        numbers = range(self._next_number, self._next_number + len(embeddings))
        self._next_number = numbers.stop
        self._index.add_with_ids(np.stack(list(embeddings.values())), np.array(numbers, dtype=np.int64))
        for speaker_id, number in zip(embeddings, numbers, strict=True):
            self._numbers[speaker_id] = number
            self._speaker_ids[number] = speaker_id

    def drop(self, speaker_ids: Iterable[str]) -> None:
        """All in one pass over the index, which is what a removal costs. Those absent are passed over."""
        numbers = [self._numbers.pop(speaker_id) for speaker_id in speaker_ids if speaker_id in self._numbers]
        if numbers:
            self._index.remove_ids(faiss.IDSelectorBatch(np.array(numbers, dtype=np.int64)))
            for number in numbers:
                del self._speaker_ids[number]

    def nearest(self, embedding: Embedding, n_candidates: int) -> list[Candidate]:
        """Those with the highest cosine scores. FAISS lets go of the interpreter, so searches run side by side."""
        scores: NDArray[np.float32]
        numbers: NDArray[np.int64]
        scores, numbers = self._index.search(embedding[np.newaxis], min(n_candidates, len(self)))
        return [
            # Rounding may put a clip's score with itself a little above 1.
            Candidate(self._speaker_ids[int(number)], float(np.clip(score, -1.0, 1.0)))
            for score, number in zip(scores[0], numbers[0], strict=True)
        ]


def _new_index(n_embedding: int) -> faiss.IndexIDMap2:
    """Exact inner products of float32, with numbers of our own that can be removed again."""
    return faiss.IndexIDMap2(faiss.IndexFlatIP(n_embedding))
