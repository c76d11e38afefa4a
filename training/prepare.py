"""Corpora -> one prepared data set: Utterance rows with speaker-disjoint splits, and a report of what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from model.errors import AudioError
from model.waveform import SAMPLE_RATE_HZ
from training.corpora.commonvoice import read_commonvoice
from training.corpora.debian import read_debian
from training.corpora.folder import read_folder
from training.corpora.librispeech import read_librispeech
from training.corpora.manifest import read_manifest
from training.corpora.shards import read_shards, require_whole, shard_of
from training.corpora.timit import read_timit
from training.corpora.utterance import CorpusError, Utterance
from training.corpora.vctk import read_vctk
from training.corpora.voxceleb import read_voxceleb
from training.dataset import PreparedUtterance, read_prepared, read_samples, write_prepared
from training.devices import Place, of_first, take_place, to_first
from training.hazards import Finding, ReadClip, find_hazards, without_repeats_and_silence
from training.inventory import Inventory, Unreadable, summarise, write_inventory
from training.row_workers import mapped
from training.splits import assign_splits


def read_prepared_utterances(folder: Path) -> Iterator[Utterance]:
    """The rows of an earlier `prepare`, with their splits. Raises CorpusError where `folder` holds none."""
    return (row.utterance for row in read_prepared(folder / "utterances.csv"))


READERS: dict[str, Callable[[Path], Iterator[Utterance]]] = {
    "commonvoice": read_commonvoice,
    "debian": read_debian,
    "folder": read_folder,
    "librispeech": read_librispeech,
    "manifest": read_manifest,
    "prepared": read_prepared_utterances,
    "shards": read_shards,
    "timit": read_timit,
    "vctk": read_vctk,
    "voxceleb": read_voxceleb,
}
MANY_CLIPS = 2_000
"""Fewer are read in less time than processes take to start."""
N_NAMED = 5
"""Cases that an error message names; the report has them all."""


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
    sources: Sequence[str],
    out: Path,
    *,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    seed: int = 1,
    max_unreadable: float = 0.01,
    workers: int = 1,
) -> Inventory:
    """Writes out/utterances.csv, and out/prepare-report.json also where the former is refused.

    Clips that cannot be read are skipped while they are at most the fraction `max_unreadable` of all. `workers` processes
    decode where there are many. Under torchrun every process reads its part of the clips, of shards whole ones, and the
    first writes. Raises CorpusError naming clips where more cannot be read, or where labels break the splits.
    """
    with take_place("cpu") as place:
        utterances = [utterance for source in sources for utterance in read_corpus(source)]
        assigned = assign_splits(
            utterances, validation_fraction=validation_fraction, test_fraction=test_fraction, seed=seed
        )
        parts = to_first(_read_part(assigned, workers, place), place)
        inventory = _write(sources, _in_order(parts), out, max_unreadable) if parts is not None else None
        found = of_first(inventory, place)
        assert found is not None
        return found


def _write(
    sources: Sequence[str], read: Sequence[ReadClip | Unreadable], out: Path, max_unreadable: float
) -> Inventory:
    clips = [clip for clip in read if isinstance(clip, ReadClip)]
    unreadable = [clip for clip in read if isinstance(clip, Unreadable)]
    findings = find_hazards(clips)
    rows = [PreparedUtterance(clip.utterance, clip.duration_s) for clip in without_repeats_and_silence(clips)]
    refusal = _refusal(findings, unreadable, len(read), max_unreadable)
    inventory = Inventory(
        sources=tuple(sources),
        n_clips_found=len(read),
        splits=summarise(rows),
        findings=tuple(findings),
        unreadable=tuple(unreadable),
        refusal=refusal,
    )
    report = write_inventory(inventory, out)
    if refusal:
        raise CorpusError(f"{refusal}; all of them are in {report}")
    write_prepared(rows, out / "utterances.csv")
    return inventory


Part = dict[int, ReadClip | Unreadable]
"""Clips that one process has read, by their number among all."""


def _in_order(parts: Sequence[Part]) -> list[ReadClip | Unreadable]:
    read = {number: clip for part in parts for number, clip in part.items()}
    return [read[number] for number in sorted(read)]


def _read_part(utterances: Sequence[Utterance], workers: int, place: Place) -> Part:
    shards = [shard_of(utterance.path) for utterance in utterances]
    number_of = {shard: number for number, shard in enumerate(dict.fromkeys(shards))}
    numbers = [
        number
        for number, shard in enumerate(shards)
        if (number if shard is None else number_of[shard]) % place.n_processes == place.rank
    ]
    for shard in dict.fromkeys(shards[number] for number in numbers):
        if shard is not None:
            require_whole(shard)
    n_clips = len(numbers)
    # Not threads: half of a decoder's work on short clips holds the interpreter's lock.
    own = tuple(utterances[number] for number in numbers)
    with mapped(_Reader, own, n_clips, workers if n_clips >= MANY_CLIPS else 1) as results:
        return dict(zip(numbers, track(results, description="Reading clips", total=n_clips), strict=True))


class _Reader:
    def __init__(self, utterances: tuple[Utterance, ...]) -> None:
        self.utterances = utterances

    def __call__(self, index: int) -> ReadClip | Unreadable:
        return _read(self.utterances[index])


def _read(utterance: Utterance) -> ReadClip | Unreadable:
    try:
        samples = read_samples(utterance.path)
    except (AudioError, OSError) as error:
        return Unreadable(str(utterance.path), str(error))
    return ReadClip(
        utterance,
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
        peak=float(np.abs(samples).max(initial=0.0)),
    )


def _refusal(
    findings: Sequence[Finding], unreadable: Sequence[Unreadable], n_clips: int, max_unreadable: float
) -> str | None:
    """Why the data set is not written, naming cases; None where it is."""
    if len(unreadable) > max_unreadable * n_clips:
        named = "; ".join(f"{clip.path}: {clip.why}" for clip in unreadable[:N_NAMED])
        return (
            f"{len(unreadable)} of {n_clips} clips cannot be read, more than the {100 * max_unreadable:g} % that "
            f"--max-unreadable allows: {named}"
        )
    wrong = next((finding for finding in findings if finding.is_error), None)
    if wrong is None:
        return None
    named = "; ".join(" = ".join(case) for case in wrong.cases[:N_NAMED])
    return f"{len(wrong.cases)} times {wrong.what}: {named}"
