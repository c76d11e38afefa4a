"""Objectives: a batch of embeddings -> the loss that is minimised, and the accuracy that the log shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pytorch_metric_learning.losses import ArcFaceLoss, CosFaceLoss
from torch import Tensor, nn
from torch.nn import functional as F

from model.encoder import SiameseEncoder
from training.recipe import LossConfig
from training.schedule import StepSettings

SQRT_FLOOR = 1e-12
"""Keeps the gradient of a distance finite at distance 0."""


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """A batch on its way to the loss. Of pairs, embeddings 2i and 2i + 1 are pair i; else K in a row are one speaker."""

    encoder: SiameseEncoder
    embeddings: Tensor
    labels: Tensor
    settings: StepSettings


@dataclass(frozen=True, eq=False)
class LossAndAccuracy:
    loss: Tensor
    accuracy: Tensor
    """A scalar, detached."""


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
        return LossAndAccuracy(loss, (said_same == same).float().mean())


class MarginSoftmaxObjective(nn.Module):
    """Margin softmax over the training speakers, beside a pairwise contrastive term.

    The margin is added to the cosine (CosFace) or to the angle (ArcFace). The contrastive term takes every pair in
    the batch; same and different pairs weigh alike. Both grow along the run (`schedule.py`): on untrained embeddings
    the contrastive term's cheapest move is to pull everybody together, and training never recovers.
    """

    def __init__(self, config: LossConfig, n_classes: int, n_embedding: int) -> None:
        super().__init__()
        self.config = config
        make = CosFaceLoss if config.softmax_kind == "cosine" else ArcFaceLoss
        self.softmax = make(n_classes, n_embedding, margin=config.softmax_margin, scale=config.softmax_scale)
        # About unit length: only a class vector's direction matters, and Adam turns a long one too slowly.
        nn.init.normal_(self.softmax.W, std=n_embedding**-0.5)

    def forward(self, batch: EmbeddedBatch) -> LossAndAccuracy:
        labels = batch.labels
        self.softmax.margin = batch.settings.softmax_margin  # ArcFace's in radians: set here, its degrees never count
        loss = self.softmax(batch.embeddings, labels)
        unit = F.normalize(batch.embeddings, dim=1)
        if batch.settings.contrastive_weight > 0:
            distances = ((2.0 - 2.0 * unit @ unit.T).clamp(min=0) + SQRT_FLOOR).sqrt()
            rows, columns = torch.triu_indices(len(labels), len(labels), offset=1, device=unit.device)
            pair_distances, same = distances[rows, columns], labels[rows] == labels[columns]
            term = sum(
                contrastive_loss(pair_distances[kind], same[kind], self.config.contrastive_margin)
                for kind in (same, ~same)
            )
            loss = loss + batch.settings.contrastive_weight * term
        with torch.no_grad():
            predicted = (unit @ F.normalize(self.softmax.W, dim=0)).argmax(dim=1)
        return LossAndAccuracy(loss, (predicted == labels).float().mean())


class CentroidObjective(nn.Module):
    """Each speaker's crops against the batch's centroids, as a softmax over scaled cosines.

    `prototypical`: the last crop of each speaker against the mean of the others (angular prototypical loss, Chung et
    al., 2020). `ge2e`: every crop against every mean, its own taken without itself (Wan et al., 2018).
    """

    def __init__(self, config: LossConfig, clips_per_speaker: int) -> None:
        super().__init__()
        self.leave_one_out = config.kind == "ge2e"
        self.clips_per_speaker = clips_per_speaker
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.offset = nn.Parameter(torch.tensor(-5.0))

    def forward(self, batch: EmbeddedBatch) -> LossAndAccuracy:
        unit = F.normalize(batch.embeddings, dim=1)
        crops = unit.view(-1, self.clips_per_speaker, unit.size(1))  # (P, K, d)
        n_speakers = len(crops)
        own = torch.arange(n_speakers, device=unit.device)
        if self.leave_one_out:
            others = (crops.sum(dim=1, keepdim=True) - crops) / (self.clips_per_speaker - 1)
            cosines = crops.flatten(0, 1) @ F.normalize(crops.mean(dim=1), dim=1).T
            own_cosines = (crops * F.normalize(others, dim=2)).sum(dim=2).flatten()
            own = own.repeat_interleave(self.clips_per_speaker)
            is_own = F.one_hot(own, n_speakers).bool()
            cosines = torch.where(is_own, own_cosines.unsqueeze(1), cosines)
        else:
            cosines = crops[:, -1] @ F.normalize(crops[:, :-1].mean(dim=1), dim=1).T
        logits = self.scale.clamp(min=1e-3) * cosines + self.offset
        return LossAndAccuracy(F.cross_entropy(logits, own), (logits.argmax(dim=1) == own).float().mean().detach())


def make_objective(config: LossConfig, n_classes: int, n_embedding: int, clips_per_speaker: int) -> nn.Module:
    if config.kind == "contrastive":
        return ContrastiveObjective(config)
    if config.kind == "margin_softmax":
        return MarginSoftmaxObjective(config, n_classes, n_embedding)
    return CentroidObjective(config, clips_per_speaker)
