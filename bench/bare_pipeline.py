"""The service's work on a pair of clips and nothing else: decode, quality, embed, in a bare loop in its own process.

The very functions that the service calls, without HTTP, queue, decoders' children or threads; one process a worker,
one thread each. What the service loses to this is what it spends on being a service.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from app.stages import Stage, StageTimes, recording, stage

Pair = tuple[bytes, bytes]
STAGES: tuple[Stage, ...] = ("decode", "quality", "encode")
WARM_UP_S = 1.0


@dataclass(frozen=True)
class Turn:
    """What one process did in one stretch."""

    n_pairs: int
    duration_s: float
    cpu_s: float
    stages_s: Mapping[Stage, float]


@dataclass(frozen=True)
class Rate:
    pairs_per_s: float
    cpu_ms: float
    """Processor time of a pair."""
    stages_ms: Mapping[str, float]
    """Of a pair by the clock, under the names that the service has for them."""


class BarePipeline:
    """Processes that stand by, so that they can be measured by turns with the service."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections

    def measure(self, duration_s: float) -> Rate:
        for connection in self._connections:
            connection.send(duration_s)
        turns: list[Turn] = [connection.recv() for connection in self._connections]
        n_pairs = sum(turn.n_pairs for turn in turns)
        return Rate(
            pairs_per_s=sum(turn.n_pairs / turn.duration_s for turn in turns),
            cpu_ms=1000 * sum(turn.cpu_s for turn in turns) / n_pairs,
            stages_ms={name: 1000 * sum(turn.stages_s[name] for turn in turns) / n_pairs for name in STAGES},
        )


@contextmanager
def bare_pipeline(pairs: Sequence[Pair], n_processes: int, engine: str) -> Iterator[BarePipeline]:
    """`engine` is the one that the service chose: two processes that each time for themselves may disagree."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as ends:
        connections = []
        for number in range(n_processes):
            ours, theirs = context.Pipe()
            # Each begins elsewhere, so that they do not all have the longest clip at once.
            process = context.Process(target=_work, args=(theirs, [*pairs[number:], *pairs[:number]], engine))
            with _one_thread():
                process.start()
            theirs.close()
            ends.callback(process.join)
            ends.callback(ours.close)  # at which the process ends
            connections.append(ours)
        for connection in connections:
            connection.recv()
        bare = BarePipeline(connections)
        bare.measure(WARM_UP_S)
        yield bare


@contextmanager
def _one_thread() -> Iterator[None]:
    """For a process that starts in the block: an OpenMP library reads it as it is loaded."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _work(connection: Connection, pairs: Sequence[Pair], engine: str) -> None:
    from app.adapters.embedders import choose_device, open_embedder, use_one_thread_per_worker
    from app.settings import load_settings
    from model.bundle import load_bundle
    from model.decoding import DecodingLimits, decode
    from model.quality import SpeechAssessor
    from model.speech import SpeechDetector

    settings = load_settings({})
    use_one_thread_per_worker()
    bundle = load_bundle(settings.bundle_path)
    embedder = open_embedder(engine, bundle, choose_device(settings.device, bundle))
    assessor, limits = SpeechAssessor(SpeechDetector()), DecodingLimits(max_duration_s=settings.max_audio_s)
    connection.send("ready")
    while True:
        try:
            duration_s = connection.recv()
        except EOFError:
            return
        n_pairs, cpu_s, begin_s = 0, time.process_time(), time.perf_counter()
        with recording(times := StageTimes()):
            while (now_s := time.perf_counter()) < begin_s + duration_s:
                for data in pairs[n_pairs % len(pairs)]:
                    with stage("decode"):
                        waveform = decode(data, limits)
                    with stage("quality"):
                        assessor.assess(waveform)
                    with stage("encode"):
                        embedder.embed(waveform)
                n_pairs += 1
        connection.send(Turn(n_pairs, now_s - begin_s, time.process_time() - cpu_s, times.seconds()))
