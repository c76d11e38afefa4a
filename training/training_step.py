"""One step's computation as one module, so that gradients of all its parts are averaged together across processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from model.encoder import SiameseEncoder
from training.distill import Distillation
from training.losses import EmbeddedBatch, LossAndAccuracy
from training.recipe import Recipe
from training.schedule import StepSettings
from training.whole_batch import of_all


class TrainingStep(nn.Module):
    """Log-mels (n_crops, n_mels, n_frames) with labels, and targets where there is a teacher -> loss and accuracy.

    Of several processes each gives its share of the batch; loss and accuracy are those of the whole batch on all of them.
    """

    def __init__(
        self,
        encoder: SiameseEncoder,
        objective: nn.Module,
        distillation: Distillation | None,
        recipe: Recipe,
        n_processes: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self.distillation = distillation
        self.n_own = recipe.encoder.n_own
        self.weight = recipe.distill.weight
        self.precision = recipe.precision
        self.n_processes = n_processes

    def forward(
        self, log_mels: Tensor, labels: Tensor, targets: Tensor | None, settings: StepSettings
    ) -> tuple[Tensor, Tensor]:
        lengths = torch.full((len(labels),), log_mels.size(2), device=log_mels.device)
        with torch.autocast(log_mels.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            embeddings = self.encoder(log_mels, lengths)
        embeddings = of_all(embeddings.float(), self.n_processes)  # losses are computed in full precision
        labels = of_all(labels, self.n_processes)
        own = embeddings[:, : self.n_own]
        found: LossAndAccuracy = self.objective(EmbeddedBatch(self.encoder, own, labels, settings))
        loss = found.loss
        if self.distillation is not None and targets is not None:
            student = embeddings[:, self.n_own :] if self.n_own < embeddings.size(1) else embeddings
            loss = loss + self.weight * self.distillation(student, of_all(targets, self.n_processes))
        return loss, found.accuracy


def average_of(encoder: SiameseEncoder, decay: float) -> AveragedModel:
    """An exponential moving average over the encoder's weights and buffers.

    The first steps count less: an average that began at random weights would keep some of them for long.
    """

    def blend(average: Tensor, current: Tensor, n_averaged: Tensor | int) -> Tensor:
        kept = min(decay, (1.0 + float(n_averaged)) / (10.0 + float(n_averaged)))
        return average + (1.0 - kept) * (current - average)

    return AveragedModel(encoder, avg_fn=blend, use_buffers=True)
