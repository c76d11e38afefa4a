"""A bundle as it ships, but tiny and untrained: for tests of what loads and serves one."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from model.bundle import encoder_id_of, write_card
from model.calibration import Calibration
from model.decision import OperatingPoint
from model.encoder import EncoderConfig, WaveformEncoder
from model.likelihood import LikelihoodModel
from model.torchscript import export_encoder

CONFIG = EncoderConfig(
    n_mels=16, channels=(4, 4), strides_mel=(2, 2), strides_time=(2, 2), residual=(0, 0), n_hidden=4, n_embedding=8
)
POINTS = {"eer": OperatingPoint("eer", 0.5, 0.1, 0.1, (0.0, 0.2), (0.0, 0.2), 30, 300, "made trials")}


def write_tiny_bundle(folder: Path, seed: int = 1) -> Path:
    """Fills `folder`, which it makes, and returns it."""
    torch.manual_seed(seed)
    module = WaveformEncoder(CONFIG).eval()
    folder.mkdir(parents=True)
    export_encoder(module, folder / "encoder.ts")
    write_card(
        folder,
        encoder_id=encoder_id_of(module, {"n_mels": CONFIG.n_mels}, asdict(CONFIG)),
        n_embedding=CONFIG.n_embedding,
        likelihood=LikelihoodModel(Calibration(9.0, -3.0, 0.5)),
        operating_points=POINTS,
        about={"name": "tiny", "encoder": asdict(CONFIG), "limits": ["Untrained."]},
    )
    return folder
