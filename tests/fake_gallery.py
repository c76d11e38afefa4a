"""A Gallery in memory that scores everybody, held to the contract tests of the adapter."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from app.errors import ModelMismatch
from app.records import Candidate, Reference, ReferenceBatch
from model.scoring import Embedding, unit
from samples import ENCODER_ID, N_EMBEDDING


class FakeGallery:
    """Fulfils `app.ports.Gallery` by scoring everybody: the oracle of the others."""

    def __init__(self, encoder_id: str = ENCODER_ID, n_embedding: int = N_EMBEDDING) -> None:
        self.encoder_id = encoder_id
        self.is_kept = False
        self._n_embedding = n_embedding
        self._lock = threading.Lock()
        self._changing = threading.Lock()
        self._embeddings: dict[tuple[str, int], Embedding] = {}

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        with self._changing:
            new = {
                (tenant, int(number)): self._checked(embedding)
                for one in batches
                for tenant, number, encoder_id, embedding in zip(
                    one.tenants, one.numbers, one.encoder_ids, one.embeddings, strict=True
                )
                if encoder_id == self.encoder_id
            }
            with self._lock:
                self._embeddings = new

    def upsert(self, reference: Reference) -> None:
        if reference.encoder_id != self.encoder_id:
            raise ModelMismatch(f"The gallery holds references of encoder {self.encoder_id} only.")
        embedding = self._checked(reference.embedding)
        with self._changing, self._lock:
            self._embeddings[reference.tenant, reference.number] = embedding

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        with self._changing, self._lock:
            for number in numbers:
                self._embeddings.pop((tenant, number), None)

    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> tuple[Candidate, ...]:
        if n_candidates < 1:
            raise ValueError(f"a search brings up at least 1 candidate; got {n_candidates}")
        probe = self._checked(embedding).astype(np.float64)
        with self._lock:
            found = [
                Candidate(number, float(np.clip(stored.astype(np.float64) @ probe, -1.0, 1.0)))
                for (owner, number), stored in self._embeddings.items()
                if owner == tenant
            ]
        return tuple(sorted(found, key=lambda found: (-found.score, found.number))[:n_candidates])

    def size(self, tenant: str) -> int:
        with self._lock:
            return sum(owner == tenant for owner, _ in self._embeddings)

    def numbers(self) -> Mapping[str, NDArray[np.int64]]:
        with self._lock:
            held = list(self._embeddings)
        owners = {owner for owner, _ in held}
        return {owner: np.array([number for own, number in held if own == owner]) for owner in owners}

    def close(self) -> None:
        """Nothing runs in the background."""

    def _checked(self, embedding: Embedding) -> Embedding:
        if embedding.shape != (self._n_embedding,):
            raise ValueError(f"the gallery holds embeddings of shape ({self._n_embedding},); got {embedding.shape}")
        return unit(embedding)
