"""bytes -> Clip: the one way in which an upload is decoded, assessed and embedded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from app.ports import Assessor, Decoder, Embedder, WorkQueue
from app.records import Clip
from app.stages import stage
from model.decision import QualityGate
from model.errors import AudioError, NotEnoughSpeech, TooNoisy
from model.fingerprint import Fingerprint, fingerprint
from model.quality import Quality
from model.scoring import Embedding, unit
from model.waveform import Waveform


@dataclass(frozen=True)
class Listener:
    decoder: Decoder
    assessor: Assessor
    embedder: Embedder
    work: WorkQueue
    takes_fingerprints: bool = False
    """For whoever asks whether a recording was heard before."""

    def listen_to_all(self, uploads: Mapping[str, bytes]) -> dict[str, Clip]:
        """Hears uploads by their names, side by side where workers are idle. Raises as `listen`, for the first that fails."""
        calls = [partial(self.listen, data, name) for name, data in uploads.items()]
        return dict(zip(uploads, self.work.side_by_side(calls), strict=True))

    def listen(self, data: bytes, name: str) -> Clip:
        """Hears one upload. `name` is what an error calls it: `audio_a`, `clip 2 of 3`.

        Raises the AudioError that the decoder found, with the name in front.
        """
        try:
            with stage("decode"):
                waveform = self.decoder.decode(data)
        except AudioError as error:
            raise type(error)(f"{name}: {error}") from error
        with stage("quality"):
            quality = self.assessor.assess(waveform)
        embedding = self._embed(waveform)
        return Clip(quality, waveform.source, embedding, None if embedding is None else self._fingerprint(waveform))

    def _embed(self, waveform: Waveform) -> Embedding | None:
        """None for audio that fills no frame or never moves: the encoder would answer with its own biases."""
        samples = waveform.samples
        if len(samples) < self.embedder.n_min_samples or float(samples.max()) == float(samples.min()):
            return None
        with stage("encode"):
            return unit(self.embedder.embed(waveform))

    def _fingerprint(self, waveform: Waveform) -> Fingerprint | None:
        if not self.takes_fingerprints:
            return None
        with stage("replay"):
            words = fingerprint(waveform)
        return words if words.any() else None


def require_voice(clip: Clip, gate: QualityGate, name: str) -> Embedding:
    """The clip's embedding, where it is good enough to be kept. Raises NotEnoughSpeech or TooNoisy."""
    reasons = gate.reasons(clip.quality)
    if "not_enough_speech" in reasons or clip.embedding is None:
        raise NotEnoughSpeech(_too_little(clip.quality, gate, name))
    if "too_noisy" in reasons:
        raise TooNoisy(
            f"{name} has a signal-to-noise ratio of {clip.quality.snr_db:.1f} dB; at least {gate.min_snr_db:g} dB "
            "is needed. Record closer to the microphone or in a quieter place."
        )
    return clip.embedding


def _too_little(quality: Quality, gate: QualityGate, name: str) -> str:
    speech_s = math.floor(quality.speech_s * 100) / 100  # never rounded up to the limit it missed
    return (
        f"{name} has {speech_s:.2f} s of speech in {quality.duration_s:.2f} s of audio; at least "
        f"{gate.min_speech_s:g} s is needed. Send a longer recording in which the person keeps talking."
    )
