"""Another voice from the same clip: played at another speed, or spoken by a shorter or longer vocal tract.

Speed moves pitch, formants and tempo together; a formant shift leaves pitch and tempo alone. Both together make voices
that no speed alone makes, and each counts as a speaker of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import ShortTimeFFT
from scipy.signal.windows import hann

from model.waveform import SAMPLE_RATE_HZ, Samples
from training.augment.codecs import resample

_N_FFT = 1_024
_N_HOP = 256
_N_LIFTER = 32
"""Cepstral coefficients that make the envelope: 2 ms, under the pitch period of any speaker."""
_LOG_FLOOR = 1e-7


@dataclass(frozen=True)
class Voice:
    speed: float = 1.0
    """Over 1 is faster and higher."""
    formants: float = 1.0
    """Over 1 moves the formants up by this factor: a shorter vocal tract."""

    @property
    def name(self) -> str:
        """Part of a class's name: `1`, `0.9`, `1f1.1`."""
        return f"{self.speed:g}" if self.formants == 1.0 else f"{self.speed:g}f{self.formants:g}"


def change_voice(samples: Samples, voice: Voice) -> Samples:
    """(n,) -> (n / speed,), float32."""
    changed = resample(samples, SAMPLE_RATE_HZ * voice.speed, SAMPLE_RATE_HZ)
    return changed if voice.formants == 1.0 else shift_formants(changed, voice.formants)


def shift_formants(samples: Samples, factor: float) -> Samples:
    """Stretches the spectral envelope (cepstrally smoothed) by `factor`, the excitation stays: (n,) -> (n,)."""
    if len(samples) < _N_FFT:
        return samples
    transform = ShortTimeFFT(hann(_N_FFT, sym=False), _N_HOP, SAMPLE_RATE_HZ)
    spectra = transform.stft(samples)  # (n_fft // 2 + 1, n_frames)
    log_magnitude = np.log(np.abs(spectra) + _LOG_FLOOR)
    cepstra = np.fft.irfft(log_magnitude, axis=0)
    cepstra[_N_LIFTER : len(cepstra) - _N_LIFTER + 1] = 0.0
    envelope = np.fft.rfft(cepstra, axis=0).real
    position = np.minimum(np.arange(len(envelope)) / factor, len(envelope) - 1.0)
    low = np.minimum(position.astype(int), len(envelope) - 2)
    share = (position - low)[:, None]
    moved = envelope[low] * (1.0 - share) + envelope[low + 1] * share
    shifted: Samples = transform.istft(spectra * np.exp(moved - envelope), k1=len(samples)).astype(np.float32)
    return shifted
