"""Scoring the held-out speakers while training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model.encoder import SiameseEncoder
from training.feature_store import FeatureStore
from training.metrics import balanced_accuracy, best_accuracy_threshold, eer, error_curve
from training.trial_scores import score_trials
from training.trials import all_pairs

N_BATCH = 16


@dataclass(frozen=True)
class Validation:
    """All pairs of the held-out clips: by cosine or, for an encoder without unit norm, by distance.

    Accuracies are balanced, at the threshold that is best for them.
    """

    eer: float
    accuracy: float
    head_eer: float | None
    """From the pair head, where the encoder has one."""
    head_accuracy: float | None


def embed_features(encoder: SiameseEncoder, features: FeatureStore) -> Tensor:
    """(n_clips, n_embedding) on the CPU: whole clips, padded together with clips of like length."""
    encoder.eval()
    device = next(encoder.parameters()).device
    n_clips = len(features.labels)
    order = np.argsort([features.n_frames(i) for i in range(n_clips)], kind="stable")
    embeddings: list[Tensor] = [torch.empty(0)] * n_clips
    with torch.inference_mode():
        for first in range(0, n_clips, N_BATCH):
            chosen = order[first : first + N_BATCH]
            lengths = torch.tensor([features.n_frames(i) for i in chosen])
            batch = torch.zeros(len(chosen), features.frames[0].shape[1], int(lengths.max()))
            for row, i in enumerate(chosen):
                batch[row, :, : lengths[row]] = torch.from_numpy(features.clip(i).astype(np.float32)).T
            for i, embedding in zip(chosen, encoder(batch.to(device), lengths.to(device)).cpu(), strict=True):
                embeddings[i] = embedding
    return torch.stack(embeddings)


def validate(encoder: SiameseEncoder, features: FeatureStore) -> Validation | None:
    """None where the data set has fewer than two held-out speakers with two clips to compare."""
    if len(features.classes) < 2 or len(features.labels) <= len(features.classes):
        return None
    embeddings = embed_features(encoder, features).numpy()
    trials = all_pairs("validation", [features.classes[label] for label in features.labels])

    def measure(kind: str) -> tuple[float, float]:
        scores = score_trials(trials, embeddings, kind, encoder)
        threshold = best_accuracy_threshold(scores, trials.labels)
        return eer(error_curve(scores, trials.labels))[0], balanced_accuracy(scores, trials.labels, threshold)

    of_head = measure("head") if isinstance(encoder.pair_head, torch.nn.Linear) else (None, None)
    return Validation(*measure("cosine" if encoder.unit_norm else "distance"), *of_head)
