"""An encoder that ships as an ONNX graph over features: a TorchScript front end, then ONNX Runtime.

ONNX Runtime is an optional extra: only a bundle that carries such a graph asks for it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import BundleError


class OnnxEncoder(nn.Module):
    """Called like an exported encoder: samples (batch, n_samples), lengths (batch,) -> (batch, n_embedding).

    Such graphs take no lengths, so every clip of a batch runs alone. They run on the CPU.
    """

    def __init__(self, front_end: nn.Module, graph: Path, output: str, runtime: str = "onnxruntime") -> None:
        """`front_end` maps (1, n_samples) to features (1, n_frames, n_mels); `output` names the embedding among the
        graph's outputs. Raises BundleError where the runtime is not installed or the graph is none that it can run.
        """
        super().__init__()
        self.front_end = front_end
        self.session = open_session(graph, runtime)
        self.input: str = self.session.get_inputs()[0].name
        self.output = output

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        embeddings = []
        for clip, n_samples in zip(samples, lengths.tolist(), strict=True):
            features = self.front_end(clip[:n_samples].unsqueeze(0)).numpy()
            found = self.session.run([self.output], {self.input: features})[0]
            embeddings.append(torch.from_numpy(found).reshape(1, -1))
        return torch.cat(embeddings)


def open_session(graph: Path, runtime: str = "onnxruntime") -> Any:
    """An InferenceSession on as many threads as PyTorch has, safe to run from several threads. Raises BundleError."""
    try:
        ort = import_module(runtime)
    except ImportError as error:
        raise BundleError(
            f"{graph.name} is an ONNX graph, and {runtime}, which runs it, is not installed: "
            f"`pip install {runtime}`, or install Vouch with its extra `onnx`"
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # a pattern is kept for every length ever seen: memory that only grows
    options.log_severity_level = 4  # what fails is raised, and need not be printed too
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(f"{graph.name} is not an ONNX graph that this {runtime} can run: {reason}") from error
