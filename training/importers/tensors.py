"""Reading the files that PyTorch projects keep their weights in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.errors import InvalidArgument


def read_tensors(path: Path, project: str) -> dict[str, Any]:
    """The named tensors of a file that `project` saved; no code in it is run. Raises InvalidArgument where it is none."""
    try:
        table = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InvalidArgument(f"{path} is not a checkpoint of {project}'s: {error}") from error
    if not isinstance(table, Mapping):
        raise InvalidArgument(f"{path} is not a checkpoint of {project}'s: it holds no named tensors")
    return dict(table)
