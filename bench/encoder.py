"""What does one embedding cost? The service's embedder beside its bare engine, TorchScript and Resemblyzer.

    python bench/encoder.py [--data ../shared/data] [--json]

Clips of three seconds, one thread, processor time, every contender by turns in one process. `over_bare_engine` is the
service's embedder over the engine alone on the same graph, arrays in and arrays out; `over_resemblyzer` is it over
Resemblyzer's `preprocess_wav` and `embed_utterance`. The clips are those of `bench/accuracy.py` where the corpora are
there, else they are cut from examples/clips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accuracy import CLIP_S, ROOT, cpu_seconds, resemblyzer, timed_clips
from record import add_arguments, finish

from app.adapters.embedders import open_embedder
from app.adapters.engines import ONNXRUNTIME
from model.bundle import Bundle, load_bundle
from model.onnx_encoder import open_session
from model.quality import SpeechAssessor
from model.speech import SpeechDetector
from model.torchscript import load_encoder
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from training.dataset import read_samples
from training.trials import read_trials


def clips_of(data: Path) -> list[Samples]:
    lists = [read_trials(path, data) for path in sorted((data / "trials").glob("*.txt"))]
    clips = timed_clips([path for trials in lists for path in trials.paths])
    if clips:
        return clips
    n = round(CLIP_S * SAMPLE_RATE_HZ)
    examples = [read_samples(path) for path in sorted((ROOT / "examples" / "clips").iterdir())]
    return [samples[:n].copy() for samples in examples if len(samples) >= n]


def bare_torchscript(bundle: Bundle) -> Callable[[Samples], object]:
    encoder = load_encoder(bundle.encoder_path)

    def run(clip: Samples) -> object:
        with torch.inference_mode():
            return encoder(torch.from_numpy(clip)[None], torch.tensor([len(clip)])).numpy()

    return run


def bare_graph(bundle: Bundle) -> Callable[[Samples], object]:
    assert bundle.engine_graph is not None
    session = open_session(bundle.engine_graph)
    (entry,) = session.get_inputs()
    return lambda clip: session.run(None, {entry.name: clip[None]})[0]


def measure(bundle: Bundle, clips: Sequence[Samples], n_repetitions: int) -> tuple[str, dict[str, float]]:
    """The engine that the service chooses, and seconds of processor time for a clip."""
    embedder = open_embedder("auto", bundle, "cpu")
    assessor = SpeechAssessor(SpeechDetector())
    peer = resemblyzer()
    bare = {"torchscript": bare_torchscript(bundle)}
    if bundle.engine_graph is not None:
        bare[ONNXRUNTIME] = bare_graph(bundle)
    waveforms = [Waveform(clip, Source("wav", SAMPLE_RATE_HZ, 1)) for clip in clips]
    work: dict[str, Sequence[Callable[[], object]]] = {
        "quality": [partial(assessor.assess, waveform) for waveform in waveforms],
        "embedder": [partial(embedder.embed, waveform) for waveform in waveforms],
        **{f"bare {name}": [partial(run, clip) for clip in clips] for name, run in bare.items()},
    }
    if peer is not None:
        work["resemblyzer"] = [lambda clip=clip: peer.embed(peer.preprocess(clip)) for clip in clips]
    return embedder.engine, cpu_seconds(work, n_repetitions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "default")
    parser.add_argument("--repetitions", type=int, default=25, help="of each clip")
    add_arguments(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    clips = clips_of(arguments.data)
    engine, seconds = measure(load_bundle(arguments.bundle), clips, arguments.repetitions)
    peer = seconds.get("resemblyzer")
    figures = {
        "over_bare_engine": seconds["embedder"] / seconds[f"bare {engine}"],
        "over_resemblyzer": None if peer is None else seconds["embedder"] / peer,
        "quality_over_embedder": seconds["quality"] / seconds["embedder"],
        "engine": engine,
    }
    notes = (
        f"Processor time of a {CLIP_S:g} s clip, one thread, {len(clips)} clips: "
        + ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in seconds.items())
        + f". The service runs {engine}."
    )
    print(notes)
    finish(arguments, figures, notes)


if __name__ == "__main__":
    np.seterr(all="ignore")  # Resemblyzer's, on clips that it trims to nothing
    main()
