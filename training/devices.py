"""Where a run computes: one process on a CPU or a GPU, or one of several that `torchrun` started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from model.errors import InvalidArgument

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""Processes wait for each other at every step, and the first one validates in between."""


@dataclass(frozen=True)
class Place:
    """This process among those of the run; `rank` 0 writes."""

    device: torch.device
    rank: int = 0
    n_processes: int = 1


@contextmanager
def take_place(wanted: str) -> Iterator[Place]:
    """`auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:N`; under torchrun each process takes its local rank's GPU.

    Raises InvalidArgument for a CUDA device that is not there.
    """
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind = ("cuda" if n_cuda else "cpu") if wanted == "auto" else wanted
    if "RANK" not in os.environ:
        index = int(kind.partition(":")[2] or 0)
        if kind.startswith("cuda") and index >= n_cuda:
            raise InvalidArgument(f"--device is {wanted}, and PyTorch finds {n_cuda} CUDA devices here")
        yield Place(torch.device(kind))
        return
    if kind not in ("cpu", "cuda"):
        raise InvalidArgument("torchrun gives each process its own GPU: --device is auto, cpu or cuda there")
    local_rank = int(os.environ["LOCAL_RANK"])
    if kind == "cuda" and local_rank >= n_cuda:
        raise InvalidArgument(f"torchrun started more processes here than the {n_cuda} CUDA devices")
    device = torch.device("cuda", local_rank) if kind == "cuda" else torch.device("cpu")
    if kind == "cuda":
        torch.cuda.set_device(device)  # what is no tensor travels through the current device
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Place(device, dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def wait_for_all(place: Place) -> None:
    """Until every process of the run is here."""
    if place.n_processes > 1:
        dist.barrier()


def of_first(value: T, place: Place) -> T:
    """What the first process of the run holds, on all of them."""
    if place.n_processes == 1:
        return value
    held = [value]
    dist.broadcast_object_list(held, src=0)
    return held[0]


def to_first(value: T, place: Place) -> list[T] | None:
    """What each process of the run holds, in the order of ranks, on the first; None on the others."""
    if place.n_processes == 1:
        return [value]
    held: list[Any] | None = [None] * place.n_processes if place.rank == 0 else None
    dist.gather_object(value, held)
    return held


@contextmanager
def first_before_others(place: Place) -> Iterator[None]:
    """The first process alone, then the others: what it leaves on a disk that machines share they find there."""
    if place.rank > 0:
        wait_for_all(place)
    yield
    if place.rank == 0:
        wait_for_all(place)
