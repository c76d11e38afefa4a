"""The prepared data set: Utterance rows in a CSV, and their log-mels in one memory-mapped file.

Log-mels are computed once by the very front end that is exported, at every speed that a recipe asks for, and kept
as float16 (their step, 0.008 at most, is far below any augmentation).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from rich.progress import track

from model.decoding import DecodingLimits, decode
from model.errors import CorruptAudio
from model.features import N_WINDOW_SAMPLES, LogMel, describe_front_end
from model.waveform import SAMPLE_RATE_HZ, Samples
from training.corpora.utterance import SPLITS, CorpusError, Split, Utterance

FIELDS = ("path", "corpus", "speaker", "session", "gender", "split", "duration_s")
SPHERE_MAGIC = b"NIST_1A"
LIMITS = DecodingLimits(max_duration_s=3_600.0)
"""Corpora are the trainer's own; the limit only stops a file that lies about its length."""


@dataclass(frozen=True)
class PreparedUtterance:
    utterance: Utterance
    duration_s: float


def read_samples(path: Path) -> Samples:
    """(n_samples,) at 16 kHz, through the service's own decoder.

    NIST SPHERE, which the LDC's corpora come in and no upload does, is read by libsndfile. Raises AudioError.
    """
    data = path.read_bytes()
    if data.startswith(SPHERE_MAGIC):
        data = _sphere_to_wav(data)
    samples: Samples = decode(data, LIMITS).samples
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


def write_prepared(rows: Iterable[PreparedUtterance], path: Path) -> None:
    """Writes the CSV whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        for row in rows:
            u = row.utterance
            writer.writerow([u.path, u.corpus, u.speaker, u.session, u.gender, u.split, f"{row.duration_s:.3f}"])
    part.replace(path)


def read_prepared(path: Path, split: Split | None = None) -> list[PreparedUtterance]:
    """Rows of one split, or of all. Raises CorpusError where the file was not made by `vouch-train prepare`."""
    if not path.is_file():
        raise CorpusError(f"there is no prepared data set at {path}; make it with `vouch-train prepare`")
    rows = []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != FIELDS:
            raise CorpusError(f"{path} was not made by `vouch-train prepare`: its columns are {reader.fieldnames}")
        for row in reader:
            row_split = next((s for s in SPLITS if s == row["split"]), None)
            utterance = Utterance(
                Path(row["path"]), row["corpus"], row["speaker"], row["session"], row["gender"], row_split
            )
            if split is None or row_split == split:
                rows.append(PreparedUtterance(utterance, float(row["duration_s"])))
    return rows


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Log-mels of clips: clip i is `frames[starts[i]:starts[i + 1]]`, float16 (n_frames, n_mels), of class `labels[i]`.

    A speaker at another speed is another class: a changed pitch and formants make another voice.
    """

    frames: NDArray[np.float16]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def clip(self, index: int) -> NDArray[np.float16]:
        return self.frames[self.starts[index] : self.starts[index + 1]]

    def n_frames(self, index: int) -> int:
        return int(self.starts[index + 1] - self.starts[index])


def change_speed(samples: Samples, speed: float) -> Samples:
    """Plays faster (speed > 1) by resampling, so pitch and formants move too; shape (n / speed,)."""
    if speed == 1.0:
        return samples
    changed: Samples = soxr.resample(samples, SAMPLE_RATE_HZ * speed, SAMPLE_RATE_HZ).astype(np.float32)
    return changed


def open_features(
    rows: Sequence[PreparedUtterance], speeds: Sequence[float], n_mels: int, folder: Path
) -> FeatureStore:
    """Opens the features of these rows, computing them first where the folder does not have them yet."""
    # Another front end, another speed or a changed file makes another cache.
    clips = [[str(r.utterance.path), r.utterance.speaker, *_stamp(r.utterance.path)] for r in rows]
    key = json.dumps([clips, list(speeds), describe_front_end(n_mels, "")])
    stem = folder / f"features-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not stem.with_suffix(".npz").is_file():
        _compute(rows, speeds, n_mels, stem)
    index = np.load(stem.with_suffix(".npz"))
    starts, labels, classes = index["starts"], index["labels"], tuple(str(name) for name in index["classes"])
    frames = np.memmap(stem.with_suffix(".f16"), dtype=np.float16, mode="r", shape=(int(starts[-1]), n_mels))
    return FeatureStore(frames, starts, labels, classes)


def _compute(rows: Sequence[PreparedUtterance], speeds: Sequence[float], n_mels: int, stem: Path) -> None:
    stem.parent.mkdir(parents=True, exist_ok=True)
    front_end = LogMel(n_mels).eval()
    names = sorted({f"{row.utterance.speaker}@{speed:g}" for row in rows for speed in speeds})
    label_of = {name: number for number, name in enumerate(names)}
    starts, labels = [0], []
    part = stem.with_suffix(".part")
    with part.open("wb") as file, torch.inference_mode():
        for row in track(rows, description="Computing features"):
            samples = read_samples(row.utterance.path)
            for speed in speeds:
                changed = change_speed(samples, speed)
                if len(changed) < N_WINDOW_SAMPLES:
                    continue
                log_mel = front_end(torch.from_numpy(changed).unsqueeze(0))[0].T.numpy().astype(np.float16)
                file.write(np.ascontiguousarray(log_mel).tobytes())
                starts.append(starts[-1] + len(log_mel))
                labels.append(label_of[f"{row.utterance.speaker}@{speed:g}"])
    part.replace(stem.with_suffix(".f16"))
    # The index comes last and whole: where it is, so are the frames.
    with part.open("wb") as file:
        np.savez(file, starts=np.array(starts), labels=np.array(labels), classes=np.array(names))
    part.replace(stem.with_suffix(".npz"))


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
