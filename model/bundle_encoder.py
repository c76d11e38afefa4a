"""The encoder of a bundle, whatever it ships as: the one loader of service and lab."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from model.bundle import ENCODER, FRONT_END, GRAPH, is_graph
from model.errors import BundleError
from model.onnx_encoder import OnnxEncoder
from model.torchscript import load_encoder


def open_encoder_in(folder: Path, card: Mapping[str, Any], device: str = "cpu") -> nn.Module:
    """The encoder that `card` describes, called as module(samples, lengths) and ready on `device`.

    Its files are held to the card's "files"; what was imported and has no card yet has none. Raises BundleError where one
    was altered or cannot be loaded, or the encoder is an ONNX graph and the device is not the CPU.
    """
    sha256s: Mapping[str, str] = card.get("files", {})
    if not is_graph(card):
        return load_encoder(folder / ENCODER, device, sha256s.get(ENCODER))
    if device != "cpu":
        raise BundleError(f"the encoder in {folder} is an ONNX graph, which runs on the CPU; the device is {device!r}")
    front_end = load_encoder(folder / FRONT_END, sha256=sha256s.get(FRONT_END))
    return OnnxEncoder(front_end, folder / GRAPH, card["encoder"]["output"], sha256s.get(GRAPH)).eval()
