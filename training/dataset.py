"""The prepared data set: Utterance rows in a CSV, and how the lab reads a clip."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from model.decoding import DecodingLimits, decode
from model.embedding import MIN_SAMPLES
from model.errors import AudioError, CorruptAudio
from model.waveform import Samples
from training.corpora.shards import read_file
from training.corpora.utterance import SPLITS, CorpusError, Split, Utterance
from training.headerless import TO_WAV

FIELDS = ("path", "corpus", "speaker", "session", "gender", "age", "split", "duration_s")
SPHERE_MAGIC = b"NIST_1A"
LIMITS = DecodingLimits(max_duration_s=3_600.0)
"""Corpora are the trainer's own; the limit only stops a file that lies about its length."""


@dataclass(frozen=True)
class PreparedUtterance:
    utterance: Utterance
    duration_s: float


def read_samples(path: Path) -> Samples:
    """(n_samples,) at 16 kHz, through the service's own decoder; of a file, or of a clip in a shard.

    NIST SPHERE, which the LDC's corpora come in and no upload does, is read by libsndfile; telephone recordings
    without a header by their names. Raises AudioError.
    """
    data = read_file(path)
    if data.startswith(SPHERE_MAGIC):
        data = _sphere_to_wav(data)
    elif path.suffix.lower() in TO_WAV:
        data = TO_WAV[path.suffix.lower()](data)
    samples: Samples = decode(data, LIMITS).samples
    return samples


def read_clip(path: Path) -> Samples:
    """The same for a clip that is to be embedded. Raises CorpusError naming one that cannot be decoded or is too short."""
    try:
        samples = read_samples(path)
    except AudioError as error:
        raise CorpusError(f"{path}: {error}") from error
    if len(samples) < MIN_SAMPLES:
        raise CorpusError(
            f"{path} has {len(samples)} samples; an embedding needs at least {MIN_SAMPLES}. Leave it out."
        )
    return samples


def _sphere_to_wav(data: bytes) -> bytes:
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise CorruptAudio(
            f"a NIST SPHERE file that libsndfile cannot read ({error}); if it is packed with Shorten, unpack it with "
            "sph2pipe first"
        ) from error
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate_hz, format="WAV", subtype="FLOAT")
    return wav.getvalue()


def rows_sha256(rows: Sequence[PreparedUtterance]) -> str:
    """Identity of a set of clips: whose they are and what they are called, wherever they lie."""
    names = sorted(f"{r.utterance.corpus} {r.utterance.speaker} {r.utterance.path.name}" for r in rows)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def at_most(rows: Sequence[PreparedUtterance], n_clips: int) -> list[PreparedUtterance]:
    """The rows in their order without the surplus of speakers with more than `n_clips`, thinned evenly; 0 keeps all."""
    if not n_clips:
        return list(rows)
    of_speaker: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        of_speaker.setdefault(row.utterance.speaker, []).append(number)
    kept = [
        numbers[i * len(numbers) // n_taken]
        for numbers in of_speaker.values()
        for n_taken in [min(n_clips, len(numbers))]
        for i in range(n_taken)
    ]
    return [rows[number] for number in sorted(kept)]


def write_prepared(rows: Iterable[PreparedUtterance], path: Path) -> None:
    """Writes the CSV whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in rows:
            u = row.utterance
            age = "" if u.age is None else f"{u.age:g}"
            writer.writerow([u.path, u.corpus, u.speaker, u.session, u.gender, age, u.split, f"{row.duration_s:.3f}"])
    part.replace(path)


def read_prepared(path: Path, split: Split | None = None) -> list[PreparedUtterance]:
    """Rows of one split, or of all. Raises CorpusError where the file was not made by this `vouch-train prepare`."""
    if not path.is_file():
        raise CorpusError(f"there is no prepared data set at {path}; make it with `vouch-train prepare`")
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise CorpusError(
                f"{path} was not made by this version of `vouch-train prepare`: its columns are {reader.fieldnames}; "
                "prepare it again"
            )
        for row in reader:
            row_split = next((s for s in SPLITS if s == row["split"]), None)
            utterance = Utterance(
                path=Path(row["path"]),
                corpus=row["corpus"],
                speaker=row["speaker"],
                session=row["session"],
                gender=row["gender"],
                split=row_split,
                age=float(row["age"]) if row["age"] else None,
            )
            if split is None or row_split == split:
                rows.append(PreparedUtterance(utterance, float(row["duration_s"])))
    return rows
