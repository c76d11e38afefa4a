"""What every command of `vouch-train` says, and how it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import typer
from rich.console import Console

from model.errors import VouchError

console = Console(quiet=os.environ.get("RANK", "0") != "0")
"""Of several processes that torchrun started, the first one speaks; errors come from whoever has one."""
errors = Console(stderr=True)


@contextmanager
def plain_errors(threads: int = 0) -> Iterator[None]:
    """One sentence and exit status 3 for our own errors; PyTorch on so many threads, where that is not 0."""
    if threads:
        torch.set_num_threads(threads)
    try:
        yield
    except VouchError as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        raise typer.Exit(3) from error
