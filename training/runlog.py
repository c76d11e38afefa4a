"""The log of a run: log.csv, TensorBoard events and the curves as PNG."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from training.curves import draw_curves
from training.validation import Validation

FIELDS = (
    "step", "elapsed_s", "loss", "accuracy", "learning_rate",
    "validation_eer", "validation_accuracy", "validation_head_eer", "validation_head_accuracy",
)  # fmt: skip


class RunLog:
    """Appends; rows past the step that a run resumes from are dropped, since those steps will be taken again."""

    def __init__(self, folder: Path | None, step: int) -> None:
        """Without a folder nothing is ever written: the log of a process that is not the first of its run."""
        self.folder = folder
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.csv"
        kept: list[dict[str, str]] = []
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                kept = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, FIELDS)
        self.writer.writeheader()
        self.writer.writerows(kept)
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def step(self, step: int, loss: float, accuracy: float, learning_rate: float, elapsed_s: float) -> None:
        values = {"loss": loss, "accuracy": accuracy, "learning_rate": learning_rate}
        self._write(step, elapsed_s, values, "train")

    def validation(self, step: int, result: Validation | None, elapsed_s: float) -> None:
        if result is None:
            return
        values = {
            "validation_eer": result.eer,
            "validation_accuracy": result.accuracy,
            "validation_head_eer": result.head_eer,
            "validation_head_accuracy": result.head_accuracy,
        }
        self._write(step, elapsed_s, {k: v for k, v in values.items() if v is not None}, "validation")

    def _write(self, step: int, elapsed_s: float, values: dict[str, float], group: str) -> None:
        row: dict[str, Any] = {"step": step, "elapsed_s": f"{elapsed_s:.1f}"}
        row |= {name: f"{value:.6g}" for name, value in values.items()}
        self.writer.writerow(row)
        for name, value in values.items():
            self.board.add_scalar(f"{group}/{name.removeprefix('validation_')}", value, step)
        self.file.flush()

    def draw_curves(self) -> None:
        assert self.folder is not None
        draw_curves(self.folder / "log.csv", self.folder / "curves.png")

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.folder is not None:
            self.file.close()
            self.board.close()
