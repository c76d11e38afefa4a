"""The ways in which a recording is submitted again that bench/replay.py tries."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial

import av
import numpy as np
import soxr

from model.decoding import DecodingLimits, decode
from model.waveform import SAMPLE_RATE_HZ, Samples
from training.augment.codecs import telephone

Way = Callable[[Samples, np.random.Generator], Samples]
_LIMITS = DecodingLimits(max_duration_s=120.0)


def encoded(samples: Samples, container: str, codec: str, bit_rate: int | None, rate_hz: int) -> bytes:
    out = io.BytesIO()
    inside = np.clip(soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz), -1.0, 1.0).astype(np.float32)
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout="mono")
        if bit_rate is not None:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(inside[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, 0
        for ready in resampler.resample(frame):
            file.mux(stream.encode(ready))
        file.mux(stream.encode(None))
    return out.getvalue()


def recoded(container: str, codec: str, bit_rate: int | None, rate_hz: int = SAMPLE_RATE_HZ) -> Way:
    """Through a file, which the service's own decoder reads."""
    return lambda samples, _: decode(encoded(samples, container, codec, bit_rate, rate_hz), _LIMITS).samples


def cut(samples: Samples, rng: np.random.Generator, duration_s: float) -> Samples:
    """A piece from anywhere."""
    n = round(duration_s * SAMPLE_RATE_HZ)
    start = int(rng.integers(0, max(1, len(samples) - n)))
    return samples[start : start + n]


def noisy(samples: Samples, rng: np.random.Generator, snr_db: float) -> Samples:
    """White noise at this distance from the whole clip's level."""
    level = np.sqrt(np.mean(np.square(samples))) * 10 ** (-snr_db / 20)
    return (samples + level * rng.standard_normal(len(samples))).astype(np.float32)


def begun_late(way: Way) -> Way:
    """By up to an eighth of a second, so that no frame falls where it fell before."""
    return lambda samples, rng: way(samples[int(rng.integers(1, SAMPLE_RATE_HZ // 8)) :], rng)


def _clipped(samples: Samples, _: np.random.Generator) -> Samples:
    limit = np.float32(np.abs(samples).max() / 2)
    return np.clip(samples, -limit, limit)


def _in_silence(samples: Samples, rng: np.random.Generator) -> Samples:
    n = int(rng.integers(SAMPLE_RATE_HZ // 2, 3 * SAMPLE_RATE_HZ))
    return np.pad(samples, n)


_OPUS_16K = recoded("ogg", "libopus", 16_000)

WAYS: Mapping[str, Way] = {
    "the same file": lambda samples, _: samples,
    "begun a moment later": begun_late(lambda samples, _: samples),
    "MP3, 64 kbit/s": recoded("mp3", "libmp3lame", 64_000),
    "MP3, 32 kbit/s, begun later": begun_late(recoded("mp3", "libmp3lame", 32_000)),
    "Opus, 24 kbit/s": recoded("ogg", "libopus", 24_000),
    "Opus, 16 kbit/s, begun later": begun_late(_OPUS_16K),
    "M4A, 64 kbit/s": recoded("ipod", "aac", 64_000, 44_100),
    "8 kHz telephone": begun_late(lambda samples, _: telephone(samples)),
    "WAV at 8 kHz": recoded("wav", "pcm_s16le", None, 8_000),
    "WAV at 44.1 kHz": recoded("wav", "pcm_s16le", None, 44_100),
    "20 dB quieter": begun_late(lambda samples, _: samples * np.float32(0.1)),
    "clipped at half its peak": begun_late(_clipped),
    "white noise at 30 dB": begun_late(partial(noisy, snr_db=30.0)),
    "white noise at 20 dB": begun_late(partial(noisy, snr_db=20.0)),
    "silence around it": _in_silence,
    "a piece of 3 s": partial(cut, duration_s=3.0),
    "a piece of 3 s, Opus, 16 kbit/s": lambda samples, rng: _OPUS_16K(cut(samples, rng, 3.0), rng),
    "a piece of 2 s": partial(cut, duration_s=2.0),
}
BEYOND: Mapping[str, Way] = {
    "white noise at 10 dB": begun_late(partial(noisy, snr_db=10.0)),
    "a piece of 2 s, 8 kHz telephone": lambda samples, rng: telephone(cut(samples, rng, 2.0)),
    "AMR telephone, 4.75 kbit/s": begun_late(lambda samples, _: telephone(samples, "amr")),
    "5 % faster": begun_late(
        lambda samples, _: soxr.resample(samples, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / 1.05).astype(np.float32)
    ),
}
"""Asked for by nobody: what a re-submission may look like that is not to be relied on to be found."""
