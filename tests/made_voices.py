"""Embeddings of made voices whose noise grows as clips get shorter: what calibration is tested on, without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.scoring import Embedding, unit
from training.calibration_trials import CONDITIONS, conditions_to_hear
from training.corpora.utterance import Utterance
from training.dataset import PreparedUtterance
from training.heard import HeardClips

N_EMBEDDING = 24


def rows(n_speakers: int, n_clips: int, corpora: tuple[str, ...] = ("made",)) -> list[PreparedUtterance]:
    """Speakers take turns among the corpora."""
    return [
        PreparedUtterance(
            Utterance(Path(f"s{s}/{c}.wav"), corpora[s % len(corpora)], f"s{s:03d}", "1", "", "validation"), 3.0
        )
        for s in range(n_speakers)
        for c in range(n_clips)
    ]


def speaker_numbers(prepared: list[PreparedUtterance]) -> NDArray[np.int64]:
    return np.unique([row.utterance.speaker for row in prepared], return_inverse=True)[1]


def embed_clips(speakers: NDArray[np.int64], speech_s: NDArray[np.float64], spread: float, seed: int) -> Embedding:
    """Each clip's speaker's own direction, and noise of `spread` at one second, less for longer clips."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(77).standard_normal((int(speakers.max()) + 1, N_EMBEDDING))
    noise = rng.standard_normal((len(speakers), N_EMBEDDING)) * (spread / np.sqrt(speech_s))[:, None]
    return unit((centres[speakers] + noise).astype(np.float32))


def heard(prepared: list[PreparedUtterance], seed: int = 1, spread: float = 1.2) -> dict[str, HeardClips]:
    """Every condition of a calibration: whole clips have 2 to 6 s of speech, cut ones 0.3 s and more; noise does harm."""
    rng = np.random.default_rng(seed)
    speakers = speaker_numbers(prepared)
    own_s = rng.uniform(2.0, 6.0, len(speakers))
    found = {}
    for number, name in enumerate(conditions_to_hear()):
        condition = name.split()[0]
        assert condition in CONDITIONS
        speech_s = own_s if condition == "whole" else np.exp(rng.uniform(np.log(0.3), np.log(own_s)))
        snr_db = rng.uniform(5.0, 20.0, len(speakers)) if condition == "noisy" else np.full(len(speakers), 35.0)
        harm = np.where(snr_db < 25.0, 1.0 + 8.0 / np.maximum(snr_db, 1.0), 1.0)
        embeddings = embed_clips(speakers, speech_s / harm**2, spread, seed=1000 * seed + number)
        found[name] = HeardClips(np.arange(len(speakers)), embeddings, speech_s, snr_db)
    return found
