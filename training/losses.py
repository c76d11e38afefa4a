"""Objectives: a batch of embeddings -> the loss that is minimised, and the accuracy that the log shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_metric_learning.losses import CosFaceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from model.encoder import SiameseEncoder
from training.recipe import LossConfig

SQRT_FLOOR = 1e-12
"""Keeps the gradient of a distance finite at distance 0."""


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """A batch on its way to the loss. Embeddings 2i and 2i + 1 are pair i; `progress` is the share of the run done."""

    encoder: SiameseEncoder
    embeddings: Tensor
    labels: Tensor
    progress: float


@dataclass(frozen=True, eq=False)
class LossAndAccuracy:
    loss: Tensor
    accuracy: float


def contrastive_loss(distances: Tensor, same: Tensor, margin: float) -> Tensor:
    """Mean over pairs of d² where `same`, and of max(0, margin - d)² where not (Hadsell et al., 2006).

    distances (n_pairs,) Euclidean, same (n_pairs,) bool.
    """
    return torch.where(same, distances.square(), (margin - distances).clamp(min=0).square()).mean()


class ContrastiveObjective(nn.Module):
    """The article's: contrastive loss on the distance of a pair, jointly with the pair head's cross-entropy."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, batch: EmbeddedBatch) -> LossAndAccuracy:
        a, b = batch.embeddings[0::2], batch.embeddings[1::2]
        same = batch.labels[0::2] == batch.labels[1::2]
        distances = ((a - b).square().sum(dim=1) + SQRT_FLOOR).sqrt()
        loss = self.config.contrastive_weight * contrastive_loss(distances, same, self.config.contrastive_margin)
        if self.config.head_weight:
            # The distance loss gives the head no gradient; the cross-entropy does.
            logits = batch.encoder.similarity_logit(a, b)
            loss = loss + self.config.head_weight * F.binary_cross_entropy_with_logits(logits, same.to(logits.dtype))
            said_same = logits > 0
        else:
            said_same = distances < self.config.contrastive_margin / 2
        return LossAndAccuracy(loss, float((said_same == same).float().mean()))


class MarginSoftmaxObjective(nn.Module):
    """Additive-margin softmax over the training speakers (Wang et al., 2018), beside a pairwise contrastive term.

    The contrastive term takes every pair in the batch; same and different pairs weigh alike. It grows with the
    margin: on untrained embeddings its cheapest move is to pull everybody together, and training never recovers.
    """

    def __init__(self, config: LossConfig, n_classes: int, n_embedding: int) -> None:
        super().__init__()
        self.config = config
        self.softmax = CosFaceLoss(n_classes, n_embedding, margin=config.softmax_margin, scale=config.softmax_scale)
        # About unit length: only a class vector's direction matters, and Adam turns a long one too slowly.
        nn.init.normal_(self.softmax.W, std=n_embedding**-0.5)

    def ramp(self, progress: float) -> float:
        """Share of the margin and of the contrastive term that counts by now, in [0, 1]."""
        start, end = self.config.margin_ramp
        return 1.0 if end <= start else min(1.0, max(0.0, (progress - start) / (end - start)))

    def forward(self, batch: EmbeddedBatch) -> LossAndAccuracy:
        labels = batch.labels
        ramp = self.ramp(batch.progress)
        self.softmax.margin = ramp * self.config.softmax_margin
        loss = self.softmax(batch.embeddings, labels)
        unit = F.normalize(batch.embeddings, dim=1)
        if ramp * self.config.contrastive_weight > 0:
            distances = ((2.0 - 2.0 * unit @ unit.T).clamp(min=0) + SQRT_FLOOR).sqrt()
            rows, columns = torch.triu_indices(len(labels), len(labels), offset=1)
            pair_distances, same = distances[rows, columns], labels[rows] == labels[columns]
            term = sum(
                contrastive_loss(pair_distances[kind], same[kind], self.config.contrastive_margin)
                for kind in (same, ~same)
            )
            loss = loss + ramp * self.config.contrastive_weight * term
        with torch.no_grad():
            predicted = (unit @ F.normalize(self.softmax.W, dim=0)).argmax(dim=1)
        return LossAndAccuracy(loss, float((predicted == labels).float().mean()))


def make_objective(config: LossConfig, n_classes: int, n_embedding: int) -> nn.Module:
    if config.kind == "contrastive":
        return ContrastiveObjective(config)
    return MarginSoftmaxObjective(config, n_classes, n_embedding)
