"""Is a recording that is sent again found, and another take of the same person left alone?

    python bench/replay.py --data ../shared/data [--json]

Fingerprints every clip of the corpora. A seeded sample of those that the quality gate lets through is submitted again in
each of the ways of replay_ways.py, and held against its original; all clips of a speaker are held against each other, and
against those of other speakers. The limit on the evidence is chosen on one half of the speakers, beyond everything that two
different clips had there; detection and false flags are counted on the other half, at the limit that the service has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from record import add_arguments, finish
from replay_ways import BEYOND, WAYS, Way
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits

from model.decision import MIN_REPLAY_EVIDENCE, is_replay
from model.fingerprint import HOP_SAMPLES, RATE_HZ, Fingerprint, fingerprint, kept
from model.fingerprint_matching import replay_evidence
from model.quality import SpeechAssessor
from model.speech import SpeechDetector
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from training.corpora.manifest import read_manifest
from training.corpora.utterance import Utterance
from training.dataset import read_samples

ROOT = Path(__file__).resolve().parents[1]
SEED = 1
MIN_SPEECH_S = 1.0
"""VOUCH_MIN_SPEECH_S: what has less decides nothing, whether it was sent before or not."""
N_REPEATED = (100, 300)
"""Clips of each half that are submitted again in every way, at most two a speaker."""
N_EACH_SPEAKER = 2
ISOLATED_WORDS = "dspspeech20"
"""Of which nearly no clip has enough speech to decide anything; they are held against each other, and not submitted again."""
N_STRANGERS = 20
"""Clips of other speakers that each clip is held against."""
N_KEPT = 50
"""VOUCH_REPLAY_KEPT_CLIPS, for the timing."""
N_TIMED = 30
SOURCE = Source("bench", SAMPLE_RATE_HZ, 1)


@dataclass(frozen=True)
class Heard:
    utterance: Utterance
    print: Fingerprint
    kept: Fingerprint


def hear(utterances: Sequence[Utterance]) -> list[Heard]:
    found = []
    for utterance in track(utterances, description="fingerprints"):
        words = fingerprint(Waveform(read_samples(utterance.path), SOURCE))
        found.append(Heard(utterance, words, kept(words)))
    return found


def in_halves(heard: Sequence[Heard], rng: np.random.Generator) -> tuple[list[Heard], list[Heard]]:
    """By speaker, each corpus evenly."""
    speakers = sorted({(one.utterance.corpus, one.utterance.speaker) for one in heard})
    order = [speakers[i] for i in rng.permutation(len(speakers))]
    first = set(sorted(order, key=lambda speaker: speaker[0])[::2])
    chosen = [(one.utterance.corpus, one.utterance.speaker) in first for one in heard]
    return (
        [one for one, is_first in zip(heard, chosen, strict=True) if is_first],
        [one for one, is_first in zip(heard, chosen, strict=True) if not is_first],
    )


# --- other recordings ---------------------------------------------------------------------------------------------


def evidence_of_others(heard: Sequence[Heard], rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Of pairs of different clips: of one speaker, each pair once, and of two."""
    own: list[NDArray[np.float32]] = []
    others: list[NDArray[np.float32]] = []
    by_speaker: dict[str, list[Heard]] = {}
    for one in heard:
        by_speaker.setdefault(one.utterance.speaker, []).append(one)
    for one in track(heard, description="pairs"):
        clips = by_speaker[one.utterance.speaker]
        later = clips[next(i for i, clip in enumerate(clips) if clip is one) + 1 :]
        own.append(replay_evidence(one.print, [clip.kept for clip in later]))
        drawn = (heard[i] for i in rng.integers(0, len(heard), N_STRANGERS))
        strangers = [clip.kept for clip in drawn if clip.utterance.speaker != one.utterance.speaker]
        others.append(replay_evidence(one.print, strangers))
    return {"one speaker": np.concatenate(own), "two speakers": np.concatenate(others)}


# --- the same recording -------------------------------------------------------------------------------------------


def sample_of(
    heard: Sequence[Heard], n_clips: int, rng: np.random.Generator, speech_s: Callable[[Samples], float]
) -> list[Heard]:
    n_of: dict[str, int] = {}
    chosen: list[Heard] = []
    for one in (heard[i] for i in rng.permutation(len(heard))):
        if len(chosen) == n_clips:
            break
        if n_of.get(one.utterance.speaker, 0) == N_EACH_SPEAKER or one.utterance.corpus == ISOLATED_WORDS:
            continue
        if speech_s(read_samples(one.utterance.path)) >= MIN_SPEECH_S:
            n_of[one.utterance.speaker] = n_of.get(one.utterance.speaker, 0) + 1
            chosen.append(one)
    return chosen


def evidence_of_repeats(
    sample: Sequence[Heard],
    ways: Mapping[str, Way],
    rng: np.random.Generator,
    speech_s: Callable[[Samples], float],
) -> dict[str, NDArray[np.float32]]:
    """By way; what the quality gate keeps out in its new form is left out."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for one in track(sample, description="submitted again"):
        samples = read_samples(one.utterance.path)
        for name, way in ways.items():
            again = np.ascontiguousarray(way(samples, rng), dtype=np.float32)
            if speech_s(again) >= MIN_SPEECH_S:
                found[name].append(float(replay_evidence(fingerprint(Waveform(again, SOURCE)), [one.kept])[0]))
    return {name: np.array(values, dtype=np.float32) for name, values in found.items()}


def cpu_ms(heard: Sequence[Heard], duration_s: float) -> tuple[float, float]:
    """Of a fingerprint, and of holding it against N_KEPT others; medians, clips of this length, one thread."""
    n = round(duration_s * SAMPLE_RATE_HZ)
    long = (samples for one in heard if len(samples := read_samples(one.utterance.path)) >= n)
    clips = [Waveform(samples[:n], SOURCE) for samples, _ in zip(long, range(N_KEPT), strict=False)]
    prints = [kept(fingerprint(clip)) for clip in clips]
    of_print, of_match = [], []
    with threadpool_limits(1):
        for clip in clips[:N_TIMED]:
            started = time.process_time()
            words = fingerprint(clip)
            printed = time.process_time()
            replay_evidence(words, prints)
            of_print.append(printed - started)
            of_match.append(time.process_time() - printed)
    return 1000 * float(np.median(of_print)), 1000 * float(np.median(of_match))


def flagged(evidence: NDArray[np.float32]) -> int:
    return sum(is_replay(float(value)) for value in evidence)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    add_arguments(parser)
    arguments = parser.parse_args()
    rng = np.random.default_rng(SEED)
    assessor = SpeechAssessor(SpeechDetector())

    def speech_s(samples: Samples) -> float:
        return assessor.assess(Waveform(samples, SOURCE)).speech_s

    heard = hear(list(read_manifest(arguments.data / "manifest.csv")))
    chosen_on, counted_on = in_halves(heard, rng)
    others = {name: evidence_of_others(half, rng) for name, half in (("first", chosen_on), ("second", counted_on))}
    repeats = [
        evidence_of_repeats(sample_of(half, n, rng, speech_s), WAYS | BEYOND, rng, speech_s)
        for half, n in zip((chosen_on, counted_on), N_REPEATED, strict=True)
    ]

    highest = {name: max(float(values.max()) for values in pairs.values()) for name, pairs in others.items()}
    table = Table("submitted again", "n", "found", "%", "lowest evidence", "the same, first half")
    table.title = f"Second half of the speakers; flagged from {MIN_REPLAY_EVIDENCE:g} nats on"
    for name, values in repeats[1].items():
        n_found = flagged(values)
        lowest = (f"{values.min():.1f}", f"{repeats[0][name].min():.1f}")
        table.add_row(name, str(len(values)), str(n_found), f"{100 * n_found / len(values):.2f}", *lowest)
    for name, values in others["second"].items():
        table.add_row(
            f"other clips of {name}", str(len(values)), str(flagged(values)), "", f"at most {values.max():.1f}"
        )
    Console(width=140).print(table)
    print_ms, match_ms = cpu_ms(heard, 10.0)
    notes = (
        f"Highest evidence of two different clips: {highest['first']:.1f} in the first half "
        f"({sum(map(len, others['first'].values()))} pairs), {highest['second']:.1f} in the second. A clip of 10 s: "
        f"{print_ms:.1f} ms of processor time for its fingerprint, {match_ms:.1f} ms against {N_KEPT} others; "
        f"{4 * len(heard[0].kept) / max(1e-9, len(heard[0].print) * HOP_SAMPLES / RATE_HZ):.0f} bytes a second are kept.\n"
    )
    print(notes)
    found = {name: flagged(values) for name, values in repeats[1].items()}
    figures = {
        "detection": min(found[name] / len(repeats[1][name]) for name in WAYS),
        "detection_by_way": {name: round(n / len(repeats[1][name]), 4) for name, n in found.items()},
        "false_flags": sum(map(flagged, others["second"].values())),
        "n_false_pairs": sum(map(len, others["second"].values())),
        "highest_false_evidence": highest["second"],
        "evidence_limit": MIN_REPLAY_EVIDENCE,
        "fingerprint_ms": print_ms,
        "match_ms": match_ms,
    }
    finish(arguments, figures, notes)


if __name__ == "__main__":
    main()
