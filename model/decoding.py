"""bytes -> Waveform: container, channels, rate and limits.

The upload is never trusted. What its header states is checked before anything is decoded, and what is decoded is
counted block by block, so that memory is bounded by the longest allowed clip at 16 kHz whatever the header said, and
time by the packets that such a clip may have. What needs a decoder runs in child processes of the service
(`app.adapters.decoder_pool`), so this module and its parts load no network library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import soxr

from model.containers import Container, identify
from model.demuxing import open_stream
from model.errors import AudioTooLong, CorruptAudio, UnsupportedAudio
from model.riff import open_wav, parse_wav
from model.track import Block, Track
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform

MAX_ABS_SAMPLE = 100.0
"""40 dB over full scale: more than float recordings carry, less than integers that were stored as floats unscaled."""
CODEC_PADDING_S = 0.25
"""What a lossy codec may add at the ends of a clip (three MP3 frames at 8 kHz are 0.22 s); one of the full allowed length is not refused for it."""
_LOSSLESS = ("wav", "flac")


@dataclass(frozen=True)
class DecodingLimits:
    max_duration_s: float = 120.0
    min_sample_rate_hz: int = 8_000
    max_sample_rate_hz: int = 192_000
    max_channels: int = 8


def decode(data: bytes, limits: DecodingLimits) -> Waveform:
    """Decodes an upload to mono at 16 kHz: the mean of its channels, resampled once.

    Raises UnsupportedAudio for a format, rate or channel count that is not read, AudioTooLong past the duration limit
    (stated or real), CorruptAudio for everything that is broken, cut off or empty.
    """
    container, data = identify(data)
    with _open(container, data) as track:
        return _waveform(track, limits)


def decode_plain(data: bytes, limits: DecodingLimits) -> Waveform | None:
    """`decode` for an upload that no decoder needs to look at, which is a WAV of 16-bit or float samples; else None.

    Raises what `decode` raises, for what can be told without a decoder.
    """
    container, data = identify(data)
    if container is not Container.WAV:
        return None
    layout = parse_wav(data)
    return _waveform(open_wav(data, layout), limits) if layout.is_plain else None


def _waveform(track: Track, limits: DecodingLimits) -> Waveform:
    _check_rate_and_channels(track.sample_rate_hz, track.channels, limits)
    padding_s = 0.0 if track.format in _LOSSLESS else CODEC_PADDING_S
    if track.stated_duration_s is not None and track.stated_duration_s > limits.max_duration_s + padding_s:
        raise _too_long(f"{track.stated_duration_s:.1f} s", limits)
    return _collect(track, limits, limits.max_duration_s + padding_s)


@contextmanager
def _open(container: Container, data: bytes) -> Iterator[Track]:
    if container is Container.WAV:
        yield open_wav(data)
    else:
        with open_stream(container, data) as track:
            yield track


def _collect(track: Track, limits: DecodingLimits, max_duration_s: float) -> Waveform:
    source: Source | None = None
    resampler: _Resampler | None = None
    n_samples = 0
    pieces: list[Samples] = []
    for block in track.blocks:
        if source is None or resampler is None:
            # The decoder knows better than the header: AAC may double its rate and its channels on the way.
            _check_rate_and_channels(block.sample_rate_hz, block.samples.shape[1], limits)
            source = Source(track.format, block.sample_rate_hz, block.samples.shape[1])
            resampler = _Resampler(block.sample_rate_hz)
        if block.sample_rate_hz != source.sample_rate_hz:
            raise CorruptAudio(
                f"The sample rate changes from {source.sample_rate_hz} to {block.sample_rate_hz} Hz after "
                f"{n_samples / source.sample_rate_hz:.2f} s; send a clip of one rate."
            )
        n_samples += len(block.samples)
        if n_samples > max_duration_s * source.sample_rate_hz:
            raise _too_long(f"more than {limits.max_duration_s:g} s", limits)
        pieces.append(resampler.add(_mono(block)))
    if source is None or resampler is None:
        raise CorruptAudio(f"The {track.format} file has a header and no audio; send it whole.")
    pieces.append(resampler.finish())
    filled = [piece for piece in pieces if len(piece)]
    samples = np.ascontiguousarray(filled[0]) if len(filled) == 1 else np.concatenate(pieces)
    if len(samples) == 0:
        raise CorruptAudio(f"The {track.format} file holds only {n_samples} samples of audio; send a longer clip.")
    return Waveform(samples, source)


def _mono(block: Block) -> Samples:
    """The mean over channels, float32 of shape (n_samples,). Raises CorruptAudio unless all of it is in range."""
    with np.errstate(over="ignore", invalid="ignore"):
        mono: Samples = block.samples[:, 0] if block.samples.shape[1] == 1 else block.samples.mean(axis=1)
        highest, lowest = float(mono.max(initial=0.0)), float(mono.min(initial=0.0))  # NaN if any sample is
    if not (math.isfinite(highest) and math.isfinite(lowest)):
        raise CorruptAudio("Some samples are not numbers (NaN or infinity); export the clip anew and send it again.")
    peak = max(highest, -lowest)
    if peak > MAX_ABS_SAMPLE:
        raise CorruptAudio(
            f"Samples reach {peak:.3g}, and full scale is 1; at most {MAX_ABS_SAMPLE:g} is read. "
            "Scale the clip or send it as 16-bit PCM."
        )
    return mono


class _Resampler:
    """One pass of soxr (HQ) over the blocks of a clip; nothing at all where the rate is right already."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._stream = None
        if sample_rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def add(self, mono: Samples) -> Samples:
        return mono if self._stream is None else self._stream.resample_chunk(mono)

    def finish(self) -> Samples:
        rest = np.zeros(0, dtype=np.float32)
        return rest if self._stream is None else self._stream.resample_chunk(rest, last=True)


def _check_rate_and_channels(sample_rate_hz: int, channels: int, limits: DecodingLimits) -> None:
    if not limits.min_sample_rate_hz <= sample_rate_hz <= limits.max_sample_rate_hz:
        raise UnsupportedAudio(
            f"The audio has a sample rate of {sample_rate_hz} Hz; {limits.min_sample_rate_hz} to "
            f"{limits.max_sample_rate_hz} Hz are read. Resample it and send it again."
        )
    if not 1 <= channels <= limits.max_channels:
        raise UnsupportedAudio(
            f"The audio has {channels} channels; 1 to {limits.max_channels} are read. Mix it down and send it again."
        )


def _too_long(actual: str, limits: DecodingLimits) -> AudioTooLong:
    return AudioTooLong(
        f"The audio lasts {actual}; at most {limits.max_duration_s:g} s are allowed. Send a shorter clip."
    )
