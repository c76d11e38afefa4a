"""Another voice from the same clip: played at another speed, or spoken by a shorter or longer vocal tract.

Speed moves pitch, formants and tempo together; a formant shift leaves pitch and tempo alone. Both together make voices
that no speed alone makes, and each counts as a speaker of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal.windows import hann

from model.waveform import SAMPLE_RATE_HZ, Samples
from training.augment.codecs import resample

_N_FFT = 1_024
_N_HOP = 256
_N_OVERLAP = _N_FFT // _N_HOP
_N_BINS = _N_FFT // 2 + 1
_WINDOW = hann(_N_FFT, sym=False)
_WINDOW_GAIN = float((_WINDOW**2).sum() / _N_HOP)
"""What overlapping squared windows sum to, at every sample."""
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
    # Whole hops before, between and behind, so that every sample lies in four windows.
    n_blocks = -(-len(samples) // _N_HOP)
    padded = np.pad(samples, (_N_FFT - _N_HOP, _N_FFT - _N_HOP + n_blocks * _N_HOP - len(samples)))
    frames = sliding_window_view(padded, _N_FFT)[::_N_HOP] * _WINDOW  # (n_frames, n_fft)
    spectra = np.fft.rfft(frames)
    cepstra = np.fft.irfft(np.log(np.abs(spectra) + _LOG_FLOOR))
    cepstra[:, _N_LIFTER : _N_FFT - _N_LIFTER + 1] = 0.0
    envelope = np.fft.rfft(cepstra).real
    position = np.minimum(np.arange(_N_BINS) / factor, _N_BINS - 1.0)
    low = np.minimum(position.astype(int), _N_BINS - 2)
    share = position - low
    moved = envelope[:, low] * (1.0 - share) + envelope[:, low + 1] * share
    changed = np.fft.irfft(spectra * np.exp(moved - envelope)) * _WINDOW
    total = np.zeros((len(frames) + _N_OVERLAP - 1, _N_HOP))
    for part in range(_N_OVERLAP):  # overlap-add
        total[part : part + len(frames)] += changed[:, part * _N_HOP : (part + 1) * _N_HOP]
    first = _N_FFT - _N_HOP
    shifted: Samples = (total.ravel()[first : first + len(samples)] / _WINDOW_GAIN).astype(np.float32)
    return shifted
