"""Reading what `vouch-train import` wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model.bundle import IMPORTED
from model.errors import InvalidArgument


def is_imported(path: Path) -> bool:
    """Whether the folder was made by `vouch-train import`, calibrated or not."""
    return (path / IMPORTED).is_file()


def read_import(folder: Path) -> dict[str, Any]:
    """`encoder_id`, `n_embedding` and `about`, the card's part. Raises InvalidArgument where the file is none of ours."""
    path = folder / IMPORTED
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in ("encoder_id", "n_embedding", "about") if key not in facts]
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{path} was not written by `vouch-train import`: {error}") from error
    if missing:
        raise InvalidArgument(f"{path} was not written by `vouch-train import`: it has no {missing[0]}")
    return facts
