"""Checkpoint + calibration + evaluations -> the bundle that the service loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from model.bundle import ENCODER, ENGINE_GRAPH, load_bundle, write_card
from model.errors import InvalidArgument
from model.onnx_encoder import MAX_DIFFERENCE
from model.torchscript import export_encoder, load_encoder
from training.calibrate import CalibrationResult
from training.calibration_file import calibration_data
from training.checkpoint import describe_network, encoder_id, load_checkpoint, waveform_encoder
from training.graph import export_graph
from training.model_card import model_card
from training.reports import ALL, measured_with, of_whole_lists
from training.whole_folder import written_whole

LIMITS = (
    "No presentation-attack detection: a recording, a voice conversion or a synthetic voice of the speaker is not told apart from the speaker.",
    "Clips with under a second of net speech are told apart far less well; the service calls them inconclusive.",
)
"""What holds for every encoder; what comes from its corpora is given to `export`."""


def export(
    checkpoint_path: Path,
    calibration: CalibrationResult,
    out: Path,
    *,
    name: str,
    evaluations: Sequence[Path] = (),
    history: Sequence[Path] = (),
    limits: Sequence[str] = (),
) -> Path:
    """Writes the bundle whole or not at all, and reads it back through the service's own loader.

    `evaluations` and `history` are reports of `vouch-train evaluate`, on this encoder and on those before it; `limits`
    are sentences for the card. Raises InvalidArgument where the exported module differs from the eager one by more than
    1e-4, or where the calibration or an evaluation was made with other weights.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    module = waveform_encoder(checkpoint)
    identity = encoder_id(checkpoint, module)
    if calibration.encoder_id != identity:
        raise InvalidArgument(
            f"the calibration was fitted to encoder {calibration.encoder_id}, and this checkpoint is {identity}; "
            "run `vouch-train calibrate` on it again"
        )
    measured = [row for path in evaluations for row in measured_with(path, identity, calibration.calibration_id)]
    before = of_whole_lists(history)
    with written_whole(out) as folder:
        export_encoder(module, folder / ENCODER)
        difference = export_difference(waveform_encoder(checkpoint, fused=False), load_encoder(folder / ENCODER))
        if not difference <= MAX_DIFFERENCE:
            raise InvalidArgument(
                f"the exported encoder differs from the eager one by {difference:.2g}; at most {MAX_DIFFERENCE:g} is allowed"
            )
        export_graph(waveform_encoder(checkpoint), folder / ENGINE_GRAPH)
        front_end, network = describe_network(checkpoint)
        about = {
            "name": name,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "front_end": front_end,
            "encoder": network,
            "n_parameters": sum(parameter.numel() for parameter in module.parameters()),
            "export_difference": difference,
            "training": {
                "recipe": asdict(checkpoint.recipe),
                "steps": checkpoint.step,
                "elapsed_s": round(checkpoint.elapsed_s),
                "data": checkpoint.training_data,
                "initialisation": "random",
                "teacher": checkpoint.teacher,
            },
            "calibration_data": calibration_data(calibration),
            "evaluations": [asdict(row) for row in measured if row.slice == ALL],
            "history": [asdict(row) for row in before],
            "limits": [*LIMITS, *limits],
        }
        write_card(
            folder,
            encoder_id=identity,
            n_embedding=checkpoint.recipe.encoder.n_embedding,
            likelihood=calibration.likelihood,
            operating_points=calibration.operating_points,
            error_curve=calibration.error_curve,
            about=about,
            prose=lambda card: model_card(card, measured, before),
        )
        load_bundle(folder)
    return out


def export_difference(eager: torch.nn.Module, exported: torch.nn.Module) -> float:
    """Largest difference of any element over seeded noise of several lengths, alone and padded in a batch."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([4_000, 16_000, 48_000, 80_123])
    samples = 0.1 * torch.randn(len(lengths), int(lengths.max()), generator=generator)
    for row, length in enumerate(lengths):
        samples[row, length:] = 0
    with torch.inference_mode():
        batched = (eager(samples, lengths) - exported(samples, lengths)).abs().max()
        alone = [
            (eager(samples[i : i + 1, :n], lengths[i : i + 1]) - exported(samples[i : i + 1, :n], lengths[i : i + 1]))
            for i, n in enumerate(lengths.tolist())
        ]
    return max(float(batched), *(float(difference.abs().max()) for difference in alone))
