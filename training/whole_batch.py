"""A step over several processes as one would take it: each holds a share of the batch, and all compute with the whole of it.

Every process computes the whole loss, so what flows back to a share is as many times too much as there are processes;
DistributedDataParallel's mean over them makes it right again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from model.errors import InvalidArgument
from training.devices import Place


def require_even_shares(batch_size: int, place: Place) -> None:
    """Raises InvalidArgument where the processes cannot take equal shares: a mean of their means would not be the batch's."""
    if batch_size % place.n_processes:
        raise InvalidArgument(
            f"{place.n_processes} processes cannot share a batch of {batch_size} evenly; start a number that divides the "
            "recipe's batch_size"
        )


def of_all(share: Tensor, n_processes: int) -> Tensor:
    """(n, ...) of each process -> (n_processes * n, ...) on all of them, in the order of ranks, with gradient."""
    return torch.cat(_shares(share)) if n_processes > 1 else share


def _shares(share: Tensor) -> tuple[Tensor, ...]:
    shares: tuple[Tensor, ...] = all_gather(share)  # type: ignore[no-untyped-call]
    return shares


class WholeBatchNorm(_BatchNorm):
    """Batch norm by the mean and variance of all processes' shares, which are equally large.

    What `SyncBatchNorm` does on a GPU; it has nothing for a CPU. x (n, n_channels, ...) -> the same shape.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        shape = (1, -1, *[1] * (x.dim() - 2))
        variance, mean = torch.var_mean(x.float(), [i for i in range(x.dim()) if i != 1], correction=0)
        shares = torch.stack(_shares(torch.stack([mean, variance])))  # (n_processes, 2, n_channels)
        mean = shares[:, 0].mean(dim=0)
        variance = (shares[:, 1] + (shares[:, 0] - mean).square()).mean(dim=0)
        with torch.no_grad():
            n_values = len(shares) * x.numel() // x.size(1)
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n_values / (n_values - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        shift = self.bias - mean * scale
        return (x.float() * scale.view(shape) + shift.view(shape)).to(x.dtype)


def norm_over_all(module: nn.Module, place: Place) -> None:
    """Gives the batch norms inside the module the statistics of the whole batch; weights and their names stay."""
    if place.n_processes == 1:
        return
    make = WholeBatchNorm if place.device.type == "cpu" else nn.SyncBatchNorm
    for parent in list(module.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                over_all = make(norm.num_features, norm.eps, norm.momentum)
                over_all.load_state_dict(norm.state_dict())
                parent.add_module(name, over_all)
