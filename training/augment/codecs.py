"""Real codecs, by FFmpeg: a clip is encoded, decoded and comes back at 16 kHz, as long as it was.

The telephone is G.711 mu-law at 8 kHz behind a 300 to 3,400 Hz band-pass, as the line itself limits it (ITU-T G.712).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import av
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from model.waveform import SAMPLE_RATE_HZ, Samples

TELEPHONE_RATE_HZ = 8_000
TELEPHONE_BAND_HZ = (300.0, 3_400.0)
_FULL_SCALE = 32_767.0


@dataclass(frozen=True)
class Coder:
    """A pair of FFmpeg's: what encodes, what decodes, and the rate they run at."""

    encoder: str
    decoder: str
    rate_hz: int
    sample_format: str
    bit_rates: tuple[int, ...]
    """Bits a second; () where the codec has no choice."""


CODERS: Mapping[str, Coder] = {
    "mu_law": Coder("pcm_mulaw", "pcm_mulaw", TELEPHONE_RATE_HZ, "s16", ()),
    "amr": Coder("libopencore_amrnb", "amrnb", TELEPHONE_RATE_HZ, "s16", (4_750, 5_900, 7_400, 12_200)),
    "opus": Coder("libopus", "libopus", SAMPLE_RATE_HZ, "s16", (8_000, 12_000, 16_000)),
    "mp3": Coder("libmp3lame", "mp3float", SAMPLE_RATE_HZ, "fltp", (16_000, 24_000, 32_000)),
    "g722": Coder("g722", "g722", SAMPLE_RATE_HZ, "s16", ()),
}


def resample(samples: Samples, from_hz: float, to_hz: float) -> Samples:
    """(n,) -> (n * to_hz / from_hz,), float32."""
    if from_hz == to_hz:
        return samples
    changed: Samples = soxr.resample(samples, from_hz, to_hz).astype(np.float32)
    return changed


def band_pass(samples: Samples, low_hz: float, high_hz: float, rate_hz: int) -> Samples:
    """Butterworth of order 4 at each edge; shape and rate stay."""
    sections = np.concatenate(
        [
            butter(4, low_hz, "highpass", output="sos", fs=rate_hz),
            butter(4, high_hz, "lowpass", output="sos", fs=rate_hz),
        ]
    )
    filtered: Samples = sosfilt(sections, samples).astype(np.float32)
    return filtered


def code(samples: Samples, name: str, bit_rate: int | None = None) -> Samples:
    """Through one of CODERS and back: (n,) at 16 kHz -> (n,) at 16 kHz, clipped to full scale as any coder does.

    What the codec delays is cut off, what it swallows at the end is silence. `bit_rate` in bits a second, the
    lowest where none is given.
    """
    coder = CODERS[name]
    inside = np.clip(resample(np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, coder.rate_hz), -1.0, 1.0)
    encoder = av.AudioCodecContext.create(coder.encoder, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate = coder.rate_hz
    encoder.layout = "mono"
    encoder.format = av.AudioFormat(coder.sample_format)
    if coder.bit_rates:
        encoder.bit_rate = bit_rate or coder.bit_rates[0]
    encoder.open()
    packets = [packet for frame in _frames(inside, coder, encoder.frame_size) for packet in encoder.encode(frame)]
    packets += encoder.encode(None)
    decoder = av.AudioCodecContext.create(coder.decoder, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate = coder.rate_hz
    decoder.layout = "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    decoded = [_mono(frame) for packet in [*packets, None] for frame in decoder.decode(packet)]
    decoded_hz = decoder.sample_rate
    outside = resample(np.concatenate([*decoded, np.zeros(0, np.float32)]), decoded_hz, SAMPLE_RATE_HZ)
    return _aligned(outside, samples)


def telephone(
    samples: Samples,
    coder: str = "mu_law",
    bit_rate: int | None = None,
    band_hz: tuple[float, float] = TELEPHONE_BAND_HZ,
) -> Samples:
    """The telephone band at 8 kHz, then `coder` (mu_law or amr); (n,) at 16 kHz -> (n,) at 16 kHz."""
    narrow = band_pass(resample(samples, SAMPLE_RATE_HZ, TELEPHONE_RATE_HZ), *band_hz, TELEPHONE_RATE_HZ)
    wide = resample(narrow, TELEPHONE_RATE_HZ, SAMPLE_RATE_HZ)
    return code(_fitted(wide, len(samples)), coder, bit_rate)


CODECS: Mapping[str, Callable[[Samples], Samples]] = {
    "telephone": telephone,
    "amr": partial(telephone, coder="amr"),
    "opus": partial(code, name="opus"),
    "mp3": partial(code, name="mp3"),
    "g722": partial(code, name="g722"),
}
"""Every codec at its lowest rate."""


def random_codec(samples: Samples, rng: np.random.Generator) -> Samples:
    """One of CODECS at one of its rates, the telephone with a band of its own; shape stays."""
    name = str(rng.choice(["mu_law", "amr", "opus", "mp3", "g722"], p=[0.3, 0.25, 0.2, 0.15, 0.1]))
    rates = CODERS[name].bit_rates
    bit_rate = int(rng.choice(rates)) if rates else None
    if CODERS[name].rate_hz == TELEPHONE_RATE_HZ:
        band_hz = (float(rng.uniform(150.0, 350.0)), float(rng.uniform(3_200.0, 3_700.0)))
        return telephone(samples, name, bit_rate, band_hz)
    return code(samples, name, bit_rate)


def _frames(samples: Samples, coder: Coder, frame_size: int) -> list[av.AudioFrame]:
    size = frame_size or 960
    padded = np.pad(samples, (0, -len(samples) % size))
    is_integer = coder.sample_format == "s16"
    values = np.round(padded * _FULL_SCALE).astype(np.int16) if is_integer else padded.astype(np.float32)
    frames = []
    for start in range(0, len(values), size):
        frame = av.AudioFrame.from_ndarray(values[None, start : start + size], coder.sample_format, "mono")
        frame.sample_rate = coder.rate_hz
        frame.pts = start
        frames.append(frame)
    return frames


def _mono(frame: av.AudioFrame) -> Samples:
    values: NDArray[np.generic] = frame.to_ndarray()
    is_integer = np.issubdtype(values.dtype, np.integer)
    scaled = values.astype(np.float32) / (_FULL_SCALE if is_integer else 1.0)
    if not frame.format.is_planar:
        scaled = scaled.reshape(-1, frame.layout.nb_channels).T
    mono: Samples = scaled.mean(axis=0)
    return mono


def _aligned(coded: Samples, original: Samples) -> Samples:
    """Cuts the codec's delay off, found where the two correlate best within 100 ms; as long as the original."""
    n_search = SAMPLE_RATE_HZ // 10
    n_compared = min(len(original), len(coded), 2 * SAMPLE_RATE_HZ)
    n_fft = 1 << (n_compared + n_search).bit_length()
    spectrum = np.fft.rfft(coded[: n_compared + n_search], n_fft) * np.conj(np.fft.rfft(original[:n_compared], n_fft))
    delay = int(np.argmax(np.fft.irfft(spectrum, n_fft)[:n_search]))
    return _fitted(coded[delay:], len(original))


def _fitted(samples: Samples, n_samples: int) -> Samples:
    fitted: Samples = np.pad(samples[:n_samples], (0, max(0, n_samples - len(samples)))).astype(np.float32)
    return fitted
