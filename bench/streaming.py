"""How soon is a stream's decision taken, and is it the one that the whole recording gets?

    python bench/streaming.py --data ../shared/data [--json]

People of two public corpora talk for eight seconds of speech or more, as clips of theirs one after the other; a reference is made of
three other clips. Every half second of the recording is heard anew, as the service hears a clip, and the rule of
`model.decision` is asked whether that is enough. Half of the speakers of the development list choose the margins among CHOICES:
the earliest decisions whose error rates on them are those of whole recordings, or lower. The other half, and another corpus, tell what the shipped
margins do. `--json` prints one line, last, with the figures.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from running import ROOT

from app.adapters.embedders import open_embedder
from model.bundle import Bundle, load_bundle
from model.calibration import SideInformation
from model.decision import EARLY, EarlyRule, OperatingPoint, QualityGate, has_said_enough
from model.quality import Quality, SpeechAssessor, mean_snr_db
from model.scoring import Embedding, cosine_score, reference, unit
from model.speech import SpeechDetector
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from training.dataset import read_samples

CORPORA = (("speechocean762", "dev"), ("librispeech-test-other", "test"))
LOOK_S = 0.5
N_REFERENCE_CLIPS = 3
PROBE_SPEECH_S = 8.0
SOURCE = Source("samples", SAMPLE_RATE_HZ, 1)
GATE = QualityGate(min_speech_s=1.0, min_snr_db=3.0)
CHOICES = [EarlyRule(a, r, s) for a, r, s in product((0.0, 1.0, 2.0, 3.0), (1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0))]


@dataclass(frozen=True, eq=False)
class Voice:
    """Who was enrolled."""

    speaker: str
    embedding: Embedding
    speech_s: float
    snr_db: float | None


@dataclass(frozen=True, eq=False)
class Recording:
    """Heard again and again as it grew: the embedding and the quality of each look, the last one at the whole."""

    speaker: str
    embeddings: Embedding
    qualities: tuple[Quality, ...]


@dataclass(frozen=True, eq=False)
class Trial:
    is_target: bool
    llrs: NDArray[np.float64]
    qualities: tuple[Quality, ...]


@dataclass(frozen=True)
class Figures:
    """`share_of_speech` is that of a recording's net speech which the decision was taken after, on the mean."""

    speakers: str
    n_target: int
    n_non_target: int
    fnmr_whole: float
    fnmr_stream: float
    fmr_whole: float
    fmr_stream: float
    agreement: float
    share_of_speech_target: float
    share_of_speech_non_target: float


class Ears:
    """Hears samples as the service does."""

    def __init__(self, bundle: Bundle) -> None:
        self._embedder = open_embedder("onnxruntime", bundle, "cpu")
        self._assessor = SpeechAssessor(SpeechDetector())

    def hear(self, clips: Sequence[Samples]) -> tuple[Embedding, tuple[Quality, ...]]:
        waveforms = [Waveform(clip, SOURCE) for clip in clips]
        qualities = tuple(self._assessor.assess(waveform) for waveform in waveforms)
        return np.stack([unit(self._embedder.embed(waveform)) for waveform in waveforms]), qualities


def looks(samples: Samples) -> list[Samples]:
    step = round(LOOK_S * SAMPLE_RATE_HZ)
    return [samples[:end] for end in [*range(step, len(samples), step), len(samples)]]


def people(ears: Ears, clips: Mapping[str, Sequence[Path]], title: str) -> tuple[list[Voice], list[Recording]]:
    voices, recordings = [], []
    for speaker, paths in track(clips.items(), description=title):
        samples = [read_samples(path) for path in sorted(paths)]
        embeddings, qualities = ears.hear(samples)
        own = qualities[:N_REFERENCE_CLIPS]
        speech_s = sum(quality.speech_s for quality in own)
        snr_db = mean_snr_db([quality.snr_db for quality in own])
        voices.append(Voice(speaker, reference(embeddings[:N_REFERENCE_CLIPS]), speech_s, snr_db))
        groups = _groups(samples[N_REFERENCE_CLIPS:], qualities[N_REFERENCE_CLIPS:])
        recordings += [Recording(speaker, *ears.hear(looks(together))) for together in groups]
    return voices, recordings


def _groups(samples: Sequence[Samples], qualities: Sequence[Quality]) -> Iterator[Samples]:
    """One after the other until they hold enough speech; what is left over at the end is too short."""
    group: list[Samples] = []
    speech_s = 0.0
    for clip, quality in zip(samples, qualities, strict=True):
        group.append(clip)
        speech_s += quality.speech_s
        if speech_s >= PROBE_SPEECH_S:
            yield np.concatenate(group)
            group, speech_s = [], 0.0


def trials(bundle: Bundle, voices: Sequence[Voice], recordings: Sequence[Recording]) -> list[Trial]:
    """Every recording against every voice."""
    found = []
    for recording in recordings:
        sides = [
            bundle.likelihood.side(embedding, SideInformation(quality.speech_s, 1, quality.snr_db))
            for embedding, quality in zip(recording.embeddings, recording.qualities, strict=True)
        ]
        for voice in voices:
            information = SideInformation(voice.speech_s, N_REFERENCE_CLIPS, voice.snr_db)
            side = bundle.likelihood.side(voice.embedding, information)
            llrs = [
                bundle.likelihood.llr(cosine_score(voice.embedding, embedding), side, own)
                for embedding, own in zip(recording.embeddings, sides, strict=True)
            ]
            found.append(Trial(recording.speaker == voice.speaker, np.array(llrs), recording.qualities))
    return found


def decided(trial: Trial, point: OperatingPoint, rule: EarlyRule) -> tuple[bool, float]:
    """Whether it accepts, and after which share of the recording's net speech."""
    for llr, quality in zip(trial.llrs, trial.qualities, strict=True):
        if has_said_enough(llr, point, quality, GATE, rule):
            break
    return bool(llr >= point.llr), quality.speech_s / trial.qualities[-1].speech_s


def figures(name: str, found: Sequence[Trial], point: OperatingPoint, rule: EarlyRule) -> Figures:
    is_target = np.array([trial.is_target for trial in found])
    whole = np.array([trial.llrs[-1] >= point.llr for trial in found])
    outcomes = [decided(trial, point, rule) for trial in found]
    stream, share = np.array([accepts for accepts, _ in outcomes]), np.array([share for _, share in outcomes])
    return Figures(
        speakers=name,
        n_target=int(is_target.sum()),
        n_non_target=int((~is_target).sum()),
        fnmr_whole=float(1 - whole[is_target].mean()),
        fnmr_stream=float(1 - stream[is_target].mean()),
        fmr_whole=float(whole[~is_target].mean()),
        fmr_stream=float(stream[~is_target].mean()),
        agreement=float((stream == whole).mean()),
        share_of_speech_target=float(share[is_target].mean()),
        share_of_speech_non_target=float(share[~is_target].mean()),
    )


def chosen(found: Sequence[Trial], point: OperatingPoint) -> EarlyRule:
    """The earliest that errs no more often than whole recordings do, either way; the most careful where none does."""
    of_rules = [(figures("", found, point, rule), rule) for rule in CHOICES]
    honest = [
        (one.share_of_speech_target, rule)
        for one, rule in of_rules
        if one.fnmr_stream <= one.fnmr_whole and one.fmr_stream <= one.fmr_whole
    ]
    return min(honest, key=lambda pair: pair[0])[1] if honest else CHOICES[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clips: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    with (arguments.data / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["corpus"], row["split"]) in CORPORA:
                clips[row["corpus"]][row["speaker"]].append(arguments.data / row["path"])
    bundle = load_bundle(ROOT / "bundles" / "default")
    ears, point = Ears(bundle), bundle.operating_points["eer"]
    halves: dict[str, list[Trial]] = {}
    for corpus, _ in CORPORA:
        voices, recordings = people(ears, clips[corpus], corpus)
        names = sorted(voice.speaker for voice in voices)
        parts = {f"{corpus}, choosing": names[::2], f"{corpus}, the others": names[1::2]}
        for name, own in parts.items() if corpus == CORPORA[0][0] else [(corpus, names)]:
            halves[name] = trials(
                bundle,
                [voice for voice in voices if voice.speaker in own],
                [recording for recording in recordings if recording.speaker in own],
            )
    choosing, *others = halves.items()
    best = chosen(choosing[1], point)
    results = [figures(name, found, point, EARLY) for name, found in others]
    print(f"the choosing half takes {best}; shipped is {EARLY}")
    for one in results:
        print(
            f"{one.speakers}: {one.n_target} target and {one.n_non_target} non-target recordings; fnmr {one.fnmr_stream:.4f} "
            f"({one.fnmr_whole:.4f} whole), fmr {one.fmr_stream:.4f} ({one.fmr_whole:.4f} whole), agreement "
            f"{one.agreement:.4f}; decided after {100 * one.share_of_speech_target:.0f} % of a target's speech and "
            f"{100 * one.share_of_speech_non_target:.0f} % of a non-target's"
        )
    if arguments.json:
        print(json.dumps({"chosen": asdict(best), "shipped": asdict(EARLY), "lists": [asdict(one) for one in results]}))


if __name__ == "__main__":
    main()
