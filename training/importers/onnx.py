"""Any ONNX encoder that takes Kaldi's filter bank: WeSpeaker's and 3D-Speaker's exports, and others like them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import file_sha256
from model.errors import InvalidArgument
from model.onnx_encoder import open_session
from model.waveform import SAMPLE_RATE_HZ
from training.importers.imported import Imported, Provenance
from training.importers.kaldi_fbank import FbankConfig, KaldiFbank

FRAMES_TRIED = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def read_graph(path: Path, config: FbankConfig, provenance: Provenance, output: str | None = None) -> Imported:
    """A graph from features (batch, n_frames, n_mels) float32 to embeddings (batch, n_embedding), and its front end.

    `output` names the embedding where the graph has several outputs. Raises BundleError where ONNX Runtime is missing
    or cannot run the file, InvalidArgument where the graph takes or gives something else.
    """
    session = open_session(path)
    chosen = _output(session, path, output)
    n_min_frames = _check_input(session, path, config, chosen)
    front_end = {
        "kind": "kaldi fbank",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        **asdict(config),
        "n_min_frames": n_min_frames,
    }
    network = {"kind": "onnx", "output": chosen, "sha256": file_sha256(path)}
    return Imported(
        module=KaldiFbank(config, n_min_frames).eval(),
        graph=path,
        front_end=front_end,
        network=network,
        n_parameters=None,
        provenance=provenance,
    )


def _output(session: Any, path: Path, wanted: str | None) -> str:
    names = [found.name for found in session.get_outputs()]
    if wanted is None and len(names) == 1:
        return str(names[0])
    if wanted is None or wanted not in names:
        raise InvalidArgument(f"{path} has the outputs {', '.join(names)}; say by --output which is the embedding")
    return wanted


def _check_input(session: Any, path: Path, config: FbankConfig, output: str) -> int:
    """The fewest frames, of those tried, from which the graph makes a finite embedding."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 3 or inputs[0].type != "tensor(float)":
        described = ", ".join(f"{found.name} {found.type} {found.shape}" for found in inputs)
        raise InvalidArgument(
            f"{path} takes {described}; an encoder of features takes one float (batch, n_frames, n_mels)"
        )
    if isinstance(shape[2], int) and shape[2] != config.n_mels:
        raise InvalidArgument(f"{path} takes {shape[2]} mel bands; --n-mels is {config.n_mels}")
    if isinstance(shape[1], int):
        raise InvalidArgument(f"{path} takes {shape[1]} frames and no other number; export it with a dynamic time axis")
    rng = np.random.default_rng(1)
    reason = "its embeddings are not finite"
    for n_frames in FRAMES_TRIED:
        features = rng.normal(0, 1, (1, n_frames, config.n_mels)).astype(np.float32)
        try:
            embedding = session.run([output], {inputs[0].name: features})[0]
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            continue
        if embedding.shape[:-1] not in ((), (1,)):
            raise InvalidArgument(f"{path} gives {embedding.shape} for one clip; an embedding is (1, n_embedding)")
        if np.isfinite(embedding).all():
            return n_frames
    raise InvalidArgument(f"{path} does not embed {FRAMES_TRIED[-1]} frames of {config.n_mels} mel bands: {reason}")
