"""Scoring the held-out speakers while training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.encoder import SiameseEncoder
from training.dataset import FeatureStore
from training.metrics import balanced_accuracy, best_accuracy_threshold, eer, error_curve

N_BATCH = 16
N_CHUNK = 100_000
"""Pairs that the head scores at once."""


@dataclass(frozen=True)
class Validation:
    """All pairs of the held-out clips; accuracies are balanced, at the threshold that is best for them."""

    eer: float
    accuracy: float
    threshold: float
    head_eer: float | None
    """From the pair head, where the encoder has one."""
    head_accuracy: float | None


def embed_features(encoder: SiameseEncoder, features: FeatureStore) -> Tensor:
    """(n_clips, n_embedding): whole clips, padded together with clips of like length."""
    encoder.eval()
    n_clips = len(features.labels)
    order = np.argsort([features.n_frames(i) for i in range(n_clips)], kind="stable")
    embeddings: list[Tensor] = [torch.empty(0)] * n_clips
    with torch.inference_mode():
        for first in range(0, n_clips, N_BATCH):
            chosen = order[first : first + N_BATCH]
            lengths = torch.tensor([features.n_frames(i) for i in chosen])
            batch = torch.zeros(len(chosen), features.frames.shape[1], int(lengths.max()))
            for row, i in enumerate(chosen):
                batch[row, :, : lengths[row]] = torch.from_numpy(features.clip(i).astype(np.float32)).T
            for i, embedding in zip(chosen, encoder(batch, lengths), strict=True):
                embeddings[i] = embedding
    return torch.stack(embeddings)


def pair_scores(encoder: SiameseEncoder, embeddings: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Scores of all pairs i < j: the cosine or, for an encoder without unit norm, the negative distance; the head's."""
    rows, columns = torch.triu_indices(len(embeddings), len(embeddings), offset=1)
    with torch.inference_mode():
        if encoder.unit_norm:
            scores = (embeddings @ embeddings.T)[rows, columns]
        else:
            scores = -torch.cdist(embeddings, embeddings)[rows, columns]
        head = None
        if isinstance(encoder.pair_head, torch.nn.Linear):
            chunks = zip(rows.split(N_CHUNK), columns.split(N_CHUNK), strict=True)
            logits = [encoder.similarity_logit(embeddings[r], embeddings[c]) for r, c in chunks]
            head = torch.cat(logits).numpy().astype(np.float64)
    return scores.numpy().astype(np.float64), head


def validate(encoder: SiameseEncoder, features: FeatureStore) -> Validation | None:
    """None where the data set has fewer than two held-out speakers with two clips to compare."""
    if len(features.classes) < 2 or len(features.labels) <= len(features.classes):
        return None
    scores, head = pair_scores(encoder, embed_features(encoder, features))
    rows, columns = np.triu_indices(len(features.labels), k=1)
    labels = features.labels[rows] == features.labels[columns]
    threshold = best_accuracy_threshold(scores, labels)
    head_eer = head_accuracy = None
    if head is not None:
        head_eer = eer(error_curve(head, labels))[0]
        head_accuracy = balanced_accuracy(head, labels, best_accuracy_threshold(head, labels))
    rate, _ = eer(error_curve(scores, labels))
    return Validation(rate, balanced_accuracy(scores, labels, threshold), threshold, head_eer, head_accuracy)
