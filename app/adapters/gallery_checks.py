"""What any gallery takes: references of its encoder, of its size, that have a direction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from app.errors import ModelMismatch
from app.records import Reference, ReferenceBatch
from model.scoring import Embedding, unit


@dataclass(frozen=True)
class GalleryChecks:
    encoder_id: str
    n_embedding: int

    def embedding(self, embedding: Embedding) -> Embedding:
        """As a unit embedding. Raises ValueError: an engine itself may take NaN without a word and never find it again."""
        self._require_shape(embedding.shape)
        return unit(embedding)

    def reference(self, reference: Reference) -> Reference:
        """With a unit embedding. Raises ModelMismatch for another encoder's, ValueError for one that cannot be scored."""
        if reference.encoder_id != self.encoder_id:
            raise ModelMismatch(
                f"The reference of speaker {reference.speaker_id!r} is of encoder {reference.encoder_id}, and the "
                f"gallery holds those of {self.encoder_id}. Enrol the speaker with the encoder that is loaded."
            )
        return replace(reference, embedding=self.embedding(reference.embedding))

    def batch(self, batch: ReferenceBatch) -> ReferenceBatch:
        """Those of this encoder, which may be none; the others' speakers are stale. Raises ValueError where one cannot be scored."""
        ours = batch.chosen(batch.is_of(self.encoder_id))
        if not len(ours):
            return ours
        self._require_shape(ours.embeddings.shape[1:])
        return replace(ours, embeddings=_units(ours.embeddings))

    def _require_shape(self, shape: tuple[int, ...]) -> None:
        if shape != (self.n_embedding,):
            raise ValueError(f"the gallery holds embeddings of shape ({self.n_embedding},); got one of shape {shape}")


def _units(embeddings: Embedding) -> Embedding:
    """`unit`, for many that should be so already: they are not scaled again. Raises ValueError as it does."""
    squares = np.einsum("ij,ij->i", embeddings, embeddings)
    return embeddings if np.all(np.abs(squares - 1) < 1e-5) else unit(embeddings)
