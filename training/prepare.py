"""Corpora -> one prepared data set: Utterance rows with speaker-disjoint splits, and a report of what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import track

from model.errors import AudioError
from model.waveform import SAMPLE_RATE_HZ
from training.corpora.debian import read_debian
from training.corpora.librispeech import read_librispeech
from training.corpora.manifest import read_manifest
from training.corpora.timit import read_timit
from training.corpora.utterance import SPLITS, CorpusError, Utterance
from training.dataset import PreparedUtterance, read_samples, write_prepared
from training.splits import assign_splits

READERS: dict[str, Callable[[Path], Iterator[Utterance]]] = {
    "debian": read_debian,
    "manifest": read_manifest,
    "librispeech": read_librispeech,
    "timit": read_timit,
}


@dataclass(frozen=True)
class SplitSummary:
    split: str
    corpus: str
    n_speakers: int
    n_clips: int
    hours: float


def read_corpus(source: str) -> list[Utterance]:
    """`KIND:PATH`, for example `timit:corpora/TIMIT`. Raises CorpusError naming the kinds there are."""
    kind, separator, path = source.partition(":")
    if not separator or kind not in READERS:
        raise CorpusError(
            f"a corpus is given as KIND:PATH with KIND one of {', '.join(sorted(READERS))}; got {source!r}"
        )
    if not Path(path).exists():
        raise CorpusError(f"there is nothing at {path}")
    return list(READERS[kind](Path(path)))


def prepare(
    sources: Sequence[str], out: Path, *, validation_fraction: float = 0.1, test_fraction: float = 0.1, seed: int = 1
) -> list[SplitSummary]:
    """Writes out/utterances.csv. Raises CorpusError naming the first file that cannot be decoded."""
    utterances = [utterance for source in sources for utterance in read_corpus(source)]
    assigned = assign_splits(
        utterances, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
    )
    rows = []
    for utterance in track(assigned, description="Reading clips"):
        try:
            duration_s = len(read_samples(utterance.path)) / SAMPLE_RATE_HZ
        except AudioError as error:
            raise CorpusError(f"{utterance.path}: {error}") from error
        rows.append(PreparedUtterance(utterance, duration_s))
    write_prepared(rows, out / "utterances.csv")
    return summarise(rows)


def summarise(rows: Sequence[PreparedUtterance]) -> list[SplitSummary]:
    found = []
    for split in SPLITS:
        for corpus in sorted({row.utterance.corpus for row in rows}):
            chosen = [row for row in rows if row.utterance.split == split and row.utterance.corpus == corpus]
            if chosen:
                n_speakers = len({row.utterance.speaker for row in chosen})
                hours = sum(row.duration_s for row in chosen) / 3600
                found.append(SplitSummary(split, corpus, n_speakers, len(chosen), hours))
    return found
