"""ONNX Runtime: an encoder that ships as a graph over features, and the graph of one that ships as TorchScript."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.embedding import MIN_SAMPLES, embed
from model.errors import BundleError
from model.waveform import SAMPLE_RATE_HZ

# Else its wheels for Linux (1.32) give this machine an id, log what is run, and send that to their maker. Read as the library
# is loaded: its own disable_telemetry_events() comes too late.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime as ort

MAX_DIFFERENCE = 1e-4
"""Of any element of an embedding between two forms of one encoder."""


class OnnxEncoder(nn.Module):
    """Called like an exported encoder: samples (batch, n_samples), lengths (batch,) -> (batch, n_embedding).

    Such graphs take no lengths, so every clip of a batch runs alone. They run on the CPU.
    """

    def __init__(self, front_end: nn.Module, graph: Path, output: str) -> None:
        """`front_end` maps (1, n_samples) to features (1, n_frames, n_mels); `output` names the embedding among the
        graph's outputs. Raises BundleError where the graph is none that ONNX Runtime can run.
        """
        super().__init__()
        self.front_end = front_end
        self.session = open_session(graph)
        self.input: str = self.session.get_inputs()[0].name
        self.output = output

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        embeddings = []
        for clip, n_samples in zip(samples, lengths.tolist(), strict=True):
            features = self.front_end(clip[:n_samples].unsqueeze(0)).numpy()
            found = self.session.run([self.output], {self.input: features})[0]
            embeddings.append(torch.from_numpy(found).reshape(1, -1))
        return torch.cat(embeddings)


class EngineEncoder(nn.Module):
    """A bundle's `engine.onnx`, called like its TorchScript encoder: the same embeddings for about two thirds of the time.

    The graph takes one clip, whole, so every clip of a batch runs alone. It runs on the CPU, on any thread.
    """

    def __init__(self, graph: Path) -> None:
        """Raises BundleError where the file is no graph that ONNX Runtime can run."""
        super().__init__()
        self.session = open_session(graph)
        self.input: str = self.session.get_inputs()[0].name

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """samples (batch, n_samples) float32 at 16 kHz, lengths (batch,) int64 samples -> (batch, n_embedding)."""
        found = [
            self.session.run(None, {self.input: samples[row : row + 1, :n_samples].numpy()})[0]
            for row, n_samples in enumerate(lengths.tolist())
        ]
        return torch.from_numpy(np.concatenate(found))


def largest_difference(reference: nn.Module, other: nn.Module) -> float:
    """Of any element of the embeddings of noise, from the shortest clip to four seconds, quiet and loud."""
    rng = np.random.default_rng(1)
    differences = []
    for n_samples, level in (
        (MIN_SAMPLES, 0.1),
        (SAMPLE_RATE_HZ // 2, 1e-4),
        (3 * SAMPLE_RATE_HZ + 77, 0.3),
        (64_123, 0.01),
    ):
        clip = rng.normal(0.0, level, n_samples).astype(np.float32)
        differences.append(np.abs(embed(reference, [clip]) - embed(other, [clip])).max())
    return float(max(differences))


def open_session(graph: Path) -> ort.InferenceSession:
    """On as many threads as PyTorch has, safe to run from several threads. Raises BundleError."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a pattern is kept for every length ever seen: memory that only grows
    options.log_severity_level = 4  # what fails is raised, and need not be printed too
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{graph.name} is not an ONNX graph that ONNX Runtime can run: {reason}") from error
