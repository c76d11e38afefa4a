"""What can run a bundle's encoder on the CPU, and which of it does: the fastest that embeds as TorchScript does."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import nn

from app.errors import SettingsError
from model.bundle import ENGINE_GRAPH, Bundle
from model.bundle_encoder import open_encoder_in
from model.embedding import embed
from model.errors import BundleError
from model.onnx_encoder import MAX_DIFFERENCE, EngineEncoder, largest_difference
from model.waveform import SAMPLE_RATE_HZ, Samples

log = logging.getLogger("vouch")

TORCHSCRIPT = "torchscript"
ONNXRUNTIME = "onnxruntime"

N_WARM_UP_CALLS = 3
"""TorchScript profiles its first calls and compiles after them; no request should wait for that."""
N_TIMED_CALLS = 5


@dataclass(frozen=True)
class Engine:
    name: str
    encoder: nn.Module
    """Called as encoder(samples, lengths), warm."""


def choose_engine(wanted: str, bundle: Bundle) -> Engine:
    """`auto` -> the fastest of those that pass the parity check; else the one that is named.

    Raises SettingsError for a name that this bundle cannot be run by, BundleError for an encoder that cannot be loaded
    or, where it was asked for by name, fails the check.
    """
    if wanted == ONNXRUNTIME and bundle.engine_graph is None:
        raise SettingsError(
            f"VOUCH_ENGINE is {wanted!r}, and bundle {bundle.bundle_id} has no engine.onnx. `vouch-train graph "
            f"{bundle.path}` adds it; or set VOUCH_ENGINE to auto or {TORCHSCRIPT}."
        )
    reference = Engine(TORCHSCRIPT, open_encoder_in(bundle.path, bundle.card))
    seconds = {reference.name: _warm_seconds(reference)}
    if wanted == TORCHSCRIPT or bundle.engine_graph is None:
        return reference
    graph = Engine(ONNXRUNTIME, EngineEncoder(bundle.engine_graph, bundle.card["files"][ENGINE_GRAPH]))
    difference = largest_difference(reference.encoder, graph.encoder)
    if not difference <= MAX_DIFFERENCE:
        refused = (
            f"engine.onnx of bundle {bundle.bundle_id} embeds otherwise than its encoder.ts: by {difference:.2g} in an "
            f"element, where {MAX_DIFFERENCE:g} is allowed"
        )
        if wanted == ONNXRUNTIME:
            raise BundleError(f"{refused}. Set VOUCH_ENGINE to {TORCHSCRIPT}, or make the bundle anew.")
        log.warning("%s; %s runs the encoder", refused, TORCHSCRIPT)
        return reference
    seconds[graph.name] = _warm_seconds(graph)
    chosen = graph if wanted == ONNXRUNTIME or seconds[graph.name] < seconds[reference.name] else reference
    log.info("engine %s; %s; embeddings within %.1g", chosen.name, _told(seconds), difference)
    return chosen


def warm_up(engine: Engine, device: str = "cpu") -> None:
    for _ in range(N_WARM_UP_CALLS):
        embed(engine.encoder, [_three_seconds()], device)


def _warm_seconds(engine: Engine) -> float:
    """The least that a clip of three seconds took, once warm."""
    warm_up(engine)
    clip, times = _three_seconds(), []
    for _ in range(N_TIMED_CALLS):
        started = time.perf_counter()
        embed(engine.encoder, [clip])
        times.append(time.perf_counter() - started)
    return min(times)


def _three_seconds() -> Samples:
    return np.random.default_rng(0).normal(0.0, 0.1, 3 * SAMPLE_RATE_HZ).astype(np.float32)


def _told(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items()) + " for a clip of 3 s"
