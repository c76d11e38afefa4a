"""How accurate is the encoder that ships? Beside Resemblyzer and an untrained network, on every public trial list.

    python bench/accuracy.py --data ../shared/data [--json]

One ruler for all three (training.metrics, training.bootstrap), one decoder, one score: the cosine of whole clips. Resemblyzer
is the real package with its own preprocessing. The bundle's log-likelihood ratios are held to what the best
calibration for each list would reach, and its CPU time to Resemblyzer's. `--json` prints one line, last, with the figures.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from model.bundle import Bundle, load_bundle
from model.bundle_encoder import open_encoder_in
from model.embedding import embed
from model.encoder import WaveformEncoder
from model.scoring import Embedding
from model.waveform import SAMPLE_RATE_HZ, Samples
from training.bootstrap import bootstrap_interval, speaker_weights
from training.dataset import read_samples
from training.heard import HeardClips, hear_whole
from training.metrics import Labels, Scores, act_dcf, cllr_bits, eer, error_curve, min_cllr_bits, min_dcf
from training.recipe import load_recipe
from training.trial_scores import score_trials, trial_llrs
from training.trials import Trials, read_trials

ROOT = Path(__file__).resolve().parents[1]
P_TARGETS = (0.01, 0.05)
P_TARGET = 0.05
"""Where actDCF is held to minDCF."""
SEED = 1
CLIP_S = 3.0
N_TIMED_CLIPS = 10
N_WARM_UP_CALLS = 3
"""TorchScript profiles its first calls and compiles after them."""


class Resemblyzer(nn.Module):
    """The real package, preprocessing and all, called like an encoder of ours."""

    def __init__(self) -> None:
        """Raises ImportError where the package is not installed."""
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it and librosa import is deprecated; nothing to do about it here
            from resemblyzer import VoiceEncoder, preprocess_wav
        self.preprocess: Callable[[Samples], Samples] = preprocess_wav
        self.encoder: Any = VoiceEncoder("cpu", verbose=False)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        clips = [clip[:n].numpy() for clip, n in zip(samples, lengths.tolist(), strict=True)]
        return torch.from_numpy(np.stack([self.embed(self.preprocess(clip)) for clip in clips]))

    def embed(self, preprocessed: Samples) -> Embedding:
        embedding: Embedding = self.encoder.embed_utterance(preprocessed)
        return embedding


def resemblyzer() -> Resemblyzer | None:
    try:
        return Resemblyzer()
    except ImportError as error:
        print(f"Resemblyzer is left out, since it cannot be imported ({error}): `make install-dev` installs it.")
        return None


def untrained() -> nn.Module:
    """The network of the default recipe with seeded random weights: what the corpora give away by themselves."""
    torch.manual_seed(SEED)
    return WaveformEncoder(load_recipe("default").encoder).eval()


# --- accuracy -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accuracy:
    """Of one encoder on one trial list; rates are fractions, the interval 95 % over speakers."""

    eer: float
    interval: tuple[float, float]
    min_dcfs: tuple[float, ...]
    """At P_TARGETS."""

    @classmethod
    def of(cls, trials: Trials, scores: Scores) -> Accuracy:
        def resampled(counts: Scores) -> float:
            return eer(error_curve(scores, trials.labels, speaker_weights(trials, counts)))[0]

        curve = error_curve(scores, trials.labels)
        min_dcfs = tuple(min_dcf(curve, p_target) for p_target in P_TARGETS)
        return cls(eer(curve)[0], bootstrap_interval(trials, resampled), min_dcfs)


@dataclass(frozen=True)
class Honesty:
    """What the shipped calibration costs on one list beyond the best one for it."""

    cllr_bits: float
    min_cllr_bits: float
    act_dcf: float
    min_dcf: float

    @classmethod
    def of(cls, llrs: Scores, labels: Labels) -> Honesty:
        return cls(
            cllr_bits(llrs, labels),
            min_cllr_bits(llrs, labels),
            act_dcf(llrs, labels, P_TARGET),
            min_dcf(error_curve(llrs, labels), P_TARGET),
        )


class Hearing:
    """Of one encoder; a clip that several lists name is heard once."""

    def __init__(self, name: str, encoder: nn.Module) -> None:
        self._name, self._encoder = name, encoder
        self._heard: HeardClips | None = None
        self._rows: dict[Path, int] = {}

    def of(self, trials: Trials) -> HeardClips:
        """A row for each of the list's clips, in their order."""
        missing = [path for path in trials.paths if path not in self._rows]
        if missing:
            found = hear_whole(self._encoder, missing, f"{trials.name}, {self._name}")
            self._rows.update(zip(missing, range(len(self._rows), len(self._rows) + len(missing)), strict=True))
            self._heard = found if self._heard is None else _together(self._heard, found)
        assert self._heard is not None
        rows = np.array([self._rows[path] for path in trials.paths])
        return HeardClips(
            np.arange(len(rows)),
            self._heard.embeddings[rows],
            self._heard.speech_s[rows],
            self._heard.snr_db[rows],
        )


def _together(one: HeardClips, other: HeardClips) -> HeardClips:
    return HeardClips(
        np.concatenate([one.clips, other.clips + len(one)]),
        np.concatenate([one.embeddings, other.embeddings]),
        np.concatenate([one.speech_s, other.speech_s]),
        np.concatenate([one.snr_db, other.snr_db]),
    )


# --- CPU time -----------------------------------------------------------------------------------------------------


def timed_clips(paths: Sequence[Path]) -> list[Samples]:
    """The middle three seconds of a clip of each folder, which is a speaker's, where it is that long; at most ten.

    More than one: what Resemblyzer trims as silence, and so saves, differs from clip to clip.
    """
    n, taken, clips = round(CLIP_S * SAMPLE_RATE_HZ), set(), []
    for path in paths:
        samples = read_samples(path) if path.parent not in taken else np.zeros(0, np.float32)
        if len(samples) >= n and len(clips) < N_TIMED_CLIPS:
            taken.add(path.parent)
            start = (len(samples) - n) // 2
            clips.append(samples[start : start + n].copy())
    return clips


def cpu_seconds(work: Mapping[str, Sequence[Callable[[], object]]], n_repetitions: int) -> dict[str, float]:
    """Process time of each name's calls by turns: the median over repetitions, and the mean over its calls.

    On one thread, whatever the library: those of a pool would go on spinning for a while at the expense of the next.
    """
    times: dict[str, list[list[float]]] = {name: [[] for _ in calls] for name, calls in work.items()}
    with threadpool_limits(1):
        for repetition in range(N_WARM_UP_CALLS + n_repetitions):
            for name, calls in work.items():
                for number, call in enumerate(calls):
                    started = time.process_time()
                    call()
                    if repetition >= N_WARM_UP_CALLS:
                        times[name][number].append(time.process_time() - started)
    return {name: float(np.mean([np.median(found) for found in of_calls])) for name, of_calls in times.items()}


def measure_cpu(
    encoder: nn.Module, peer: Resemblyzer, clips: Sequence[Samples], n_repetitions: int
) -> dict[str, float]:
    """Seconds a clip, on one thread: the bundle, Resemblyzer, and Resemblyzer on what is preprocessed already."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    preprocessed = [peer.preprocess(clip) for clip in clips]
    try:
        return cpu_seconds(
            {
                "bundle": [lambda clip=clip: embed(encoder, [clip]) for clip in clips],
                "resemblyzer": [lambda clip=clip: peer.embed(peer.preprocess(clip)) for clip in clips],
                "resemblyzer without preprocessing": [lambda clip=clip: peer.embed(clip) for clip in preprocessed],
            },
            n_repetitions,
        )
    finally:
        torch.set_num_threads(n_threads)


# --- what is printed ----------------------------------------------------------------------------------------------


def accuracy_table(bundle: Bundle, found: Mapping[str, Mapping[str, Accuracy]]) -> Table:
    table = Table(title=f"EER % [95 % over speakers] · minDCF at P(target) 0.01, 0.05; {bundle.bundle_id}")
    table.add_column("trial list")
    for name in found:
        table.add_column(name)
    for trials in next(iter(found.values())):
        cells = []
        for of_lists in found.values():
            a = of_lists[trials]
            low, high = (100 * x for x in a.interval)
            cells.append(f"{100 * a.eer:.2f} [{low:.2f}, {high:.2f}] · " + ", ".join(f"{x:.2f}" for x in a.min_dcfs))
        table.add_row(trials, *cells)
    return table


def honesty_table(found: Mapping[str, Honesty]) -> Table:
    table = Table("trial list", "Cllr", "min Cllr", "gap", f"actDCF({P_TARGET})", "minDCF", "gap")
    table.title = "The bundle's LLRs beside the best calibration for each list"
    for trials, h in found.items():
        values = (h.cllr_bits, h.min_cllr_bits, h.cllr_bits - h.min_cllr_bits)
        costs = (h.act_dcf, h.min_dcf, h.act_dcf - h.min_dcf)
        table.add_row(trials, *(f"{x:.3f}" for x in (*values, *costs)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "default")
    parser.add_argument("--repetitions", type=int, default=25, help="of each timed clip")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "trials").glob("*.txt"))
    if not paths:
        raise SystemExit(f"there are no trial lists at {arguments.data / 'trials'}; name another folder by --data")
    lists = [read_trials(path, arguments.data) for path in paths]

    bundle, peer = load_bundle(arguments.bundle), resemblyzer()
    shipped = open_encoder_in(bundle.path, bundle.card)
    encoders = {"default": shipped, **({"resemblyzer": peer} if peer else {}), "untrained": untrained()}
    accuracies: dict[str, dict[str, Accuracy]] = {}
    honesty: dict[str, Honesty] = {}
    for name, encoder in encoders.items():
        hearing = Hearing(name, encoder)
        for trials in lists:
            heard = hearing.of(trials)
            scores = score_trials(trials, heard.embeddings, "cosine")
            accuracies.setdefault(name, {})[trials.name] = Accuracy.of(trials, scores)
            if name == "default":
                honesty[trials.name] = Honesty.of(trial_llrs(trials, heard, bundle.likelihood), trials.labels)
    console = Console(width=160)
    console.print(accuracy_table(bundle, accuracies))
    console.print(honesty_table(honesty))

    ratio = None
    clips = timed_clips([path for trials in lists for path in trials.paths])
    if peer and clips:
        seconds = measure_cpu(shipped, peer, clips, arguments.repetitions)
        ratio = seconds["bundle"] / seconds["resemblyzer"]
        bare = seconds["bundle"] / seconds["resemblyzer without preprocessing"]
        print(f"CPU time of a {CLIP_S:g} s clip, one thread, mean over {len(clips)} clips:")
        print("; ".join(f"{name} {1000 * value:.1f} ms" for name, value in seconds.items()))
        print(f"bundle over resemblyzer {ratio:.3f}, without its preprocessing {bare:.3f}")
    if arguments.json:
        table = {
            "eer": {name: {trials: a.eer for trials, a in found.items()} for name, found in accuracies.items()},
            "cllr_gap_bits": {trials: h.cllr_bits - h.min_cllr_bits for trials, h in honesty.items()},
            "dcf_gap": {trials: h.act_dcf - h.min_dcf for trials, h in honesty.items()},
            "cpu_over_resemblyzer": ratio,
        }
        print(json.dumps(table))


if __name__ == "__main__":
    main()
