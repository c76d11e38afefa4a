"""The only file that names torch.jit: export and load.

torch.jit is deprecated in favour of torch.export, which cannot yet express an LSTM over packed, length-aware batches
as one portable file; 2.11 still supports it fully. When that changes, this is the file that changes.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from model.errors import BundleError
from model.pinned_file import read_pinned


def export_encoder(module: nn.Module, path: Path) -> None:
    """Scripts an eager encoder in evaluation mode and saves it."""
    with _deprecation_is_known():
        torch.jit.script(module.eval()).save(str(path))  # type: ignore[no-untyped-call]  # torch.jit has no annotations


def load_encoder(path: Path, device: str = "cpu", sha256: str | None = None) -> nn.Module:
    """An exported encoder, ready to embed on `device`; `sha256` pins the file.

    Raises BundleError where the file is no such thing, or not the one that is pinned.
    """
    content = io.BytesIO(read_pinned(path, sha256))
    try:
        with _deprecation_is_known():
            module: nn.Module = torch.jit.load(content, map_location=device)  # type: ignore[no-untyped-call]  # likewise
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{path.name} is not a TorchScript encoder that this PyTorch can load: {reason}") from error
    return module.eval()


@contextmanager
def _deprecation_is_known() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*torch\.jit\..* is deprecated", category=DeprecationWarning)
        yield
