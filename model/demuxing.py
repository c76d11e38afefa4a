"""FLAC, MP3, Ogg, WebM and M4A by FFmpeg (PyAV), block by block.

Why FFmpeg and not libsndfile, which reads half of these too: libsndfile's MP3 decoder prints to the process's standard
error on healthy files, its Ogg decoder drops damaged pages without a word, and it cannot read a FLAC stream to its end
whose encoder left the length open.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import av
import av.error
import numpy as np
from av.stream import Discard

from model.containers import ALLOWED, Container
from model.errors import CorruptAudio, UnsupportedAudio
from model.framing import check_webm, first_ogg_link
from model.mp4 import sound_of_mp4
from model.mpeg import stated_duration_s
from model.track import Block, Track, decoder_errors_are_corrupt_audio
from model.waveform import Samples


@dataclass(frozen=True)
class _Reader:
    """How FFmpeg is asked to read a container: by which demuxer, with which decoders and no others."""

    name: str
    demuxer: str
    codecs: tuple[str, ...]


_READERS = {
    Container.FLAC: _Reader("FLAC", "flac", ("flac",)),
    Container.MP3: _Reader("MP3", "mp3", ("mp3",)),
    Container.OGG: _Reader("Ogg", "ogg", ("vorbis", "opus")),
    Container.WEBM: _Reader("WebM", "matroska", ("vorbis", "opus")),
    Container.MP4: _Reader("M4A", "mov", ("aac",)),
}
_ONE_CODEC = (Container.FLAC, Container.MP3)
"""Containers that imply their codec."""

_MAX_PACKETS_PER_S = 1_600
"""Each packet costs 25 to 35 us, whatever is in it (measured). The most that an encoder writes are 1,500 a second
(Vorbis at 192 kHz, if every window is a short one); Opus has 400, AAC 200, and FLAC as it is written 50. FLAC frames of
16 samples would be 12,000, and two minutes of them most of a minute's work."""
_MAX_PACKET_BURST = 1_000
"""On top of that, once a clip: headers, and what stands around the audio."""


_SCALES = {name: np.float32(scale) for name, scale in (("flt", 1.0), ("s16", 2.0**-15), ("s32", 2.0**-31))}
_SCALES |= {f"{name}p": scale for name, scale in _SCALES.items()}
"""What makes full scale 1, by FFmpeg's name for a sample's format; of others the filters take care."""
_MAX_DIRECT_CHANNELS = 2
_MIN_BLOCK_S = 0.25


@contextmanager
def open_stream(container: Container, data: bytes) -> Iterator[Track]:
    """The first audio stream. Raises UnsupportedAudio without one that is read, CorruptAudio for a broken file."""
    reader = _READERS[container]
    data = _checked(container, data)
    with decoder_errors_are_corrupt_audio(reader.name):
        opened = av.open(
            io.BytesIO(data),
            mode="r",
            format=reader.demuxer,
            metadata_errors="ignore",
            # Probing must not start a decoder that is not needed: a video track's, for one.
            options={"codec_whitelist": ",".join((*reader.codecs, "mp3float"))},
        )
    with opened:
        stream = _first_audio(opened, reader)
        # PyAV gives a stream no context where FFmpeg has no decoder for what it states.
        codec = "of an unknown kind" if stream.codec_context is None else stream.codec_context.codec.canonical_name
        if codec not in reader.codecs:
            raise UnsupportedAudio(f"The {reader.name} file's audio is {codec}, which is not read; send {ALLOWED}.")
        context = stream.codec_context
        context.thread_count = 1
        for other in opened.streams:
            other.discard = Discard.default if other is stream else Discard.all
        if container is Container.FLAC:
            context.options = {"err_detect": "crccheck+explode"}
        yield Track(
            format=container.value if container in _ONE_CODEC else f"{container.value}/{codec}",
            sample_rate_hz=context.sample_rate,
            channels=context.channels,
            stated_duration_s=_stated_duration_s(container, data, opened, stream),
            blocks=_guarded(reader.name, _blocks(container, opened, stream)),
        )


def _checked(container: Container, data: bytes) -> bytes:
    """What FFmpeg may see of the data, once it is known to be whole."""
    if container is Container.OGG:
        return first_ogg_link(data)
    if container is Container.MP4:
        return sound_of_mp4(data)
    if container is Container.WEBM:
        check_webm(data)
    return data


def _first_audio(opened: av.container.InputContainer, reader: _Reader) -> av.AudioStream:
    if not opened.streams.audio:
        kinds = " and ".join(sorted({stream.type for stream in opened.streams})) or "no stream at all"
        raise UnsupportedAudio(f"The {reader.name} file holds no audio but {kinds}; send {ALLOWED}.")
    return opened.streams.audio[0]


def _stated_duration_s(
    container: Container, data: bytes, opened: av.container.InputContainer, stream: av.AudioStream
) -> float | None:
    if container is Container.MP3:
        return stated_duration_s(data)  # FFmpeg's own is a guess from the bitrate where the file states none
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if opened.duration is None else opened.duration / av.time_base


def _guarded(name: str, blocks: Iterator[Block]) -> Iterator[Block]:
    while True:
        with decoder_errors_are_corrupt_audio(name):
            block = next(blocks, None)
        if block is None:
            return
        yield block


def _blocks(container: Container, opened: av.container.InputContainer, stream: av.AudioStream) -> Iterator[Block]:
    frames = _frames(container, opened, stream)
    if container is Container.FLAC:
        frames = _without_gaps(frames, stream.duration)
    yield from _gathered(_converted(frames))


def _converted(frames: Iterator[av.AudioFrame]) -> Iterator[Block]:
    """Frames as interleaved floats, for every codec alike."""
    converter, converted_from = av.AudioResampler(format="flt"), ("", "", 0)
    for frame in frames:
        n_channels = frame.layout.nb_channels
        scale = _SCALES.get(frame.format.name)
        if scale is not None and n_channels <= _MAX_DIRECT_CHANNELS:
            samples = frame.to_ndarray()
            columns = samples.T if frame.format.is_planar else samples.reshape(-1, n_channels)
            yield Block(columns.astype(np.float32) * scale, frame.sample_rate)
            continue
        # A graph of filters, which costs as much as the decoding itself. Never `planes` or `to_ndarray` on a planar
        # frame of so many channels: with eight PyAV reads past FFmpeg's array of eight pointers and the process dies.
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != converted_from:
            converter, converted_from = av.AudioResampler(format="flt"), kind
        for packed in converter.resample(frame):
            interleaved = np.asarray(packed.to_ndarray(), dtype=np.float32)
            yield Block(interleaved.reshape(-1, packed.layout.nb_channels), packed.sample_rate)


def _gathered(blocks: Iterator[Block]) -> Iterator[Block]:
    """Blocks of one kind put together: Opus comes in frames of 20 ms, and what follows costs by the call."""
    pieces: list[Samples] = []
    rate_hz, n_samples = 0, 0
    for block in blocks:
        is_other = bool(pieces) and (block.sample_rate_hz != rate_hz or block.samples.shape[1] != pieces[0].shape[1])
        if is_other or n_samples > _MIN_BLOCK_S * rate_hz:
            if pieces:
                yield Block(np.concatenate(pieces), rate_hz)
            pieces, n_samples = [], 0
        rate_hz = block.sample_rate_hz
        pieces.append(block.samples)
        n_samples += len(block.samples)
    if pieces:
        yield Block(np.concatenate(pieces), rate_hz)


def _frames(
    container: Container, opened: av.container.InputContainer, stream: av.AudioStream
) -> Iterator[av.AudioFrame]:
    """Raises where something cannot be decoded, unless it stands behind the last frame of an MP3: tags of any kind.

    Raises UnsupportedAudio where the packets hold too little audio each.
    """
    damage: av.error.FFmpegError | None = None
    duration_s = 0.0
    for n_packets, packet in enumerate(opened.demux(stream), start=1):
        if n_packets > _MAX_PACKET_BURST + _MAX_PACKETS_PER_S * duration_s:
            raise UnsupportedAudio(
                f"The {_READERS[container].name} file's first {duration_s:.2f} s of audio are cut into {n_packets} "
                f"packets; at most {_MAX_PACKETS_PER_S} a second are read. Encode it with longer ones (FLAC's usual "
                "frames have 4096 samples)."
            )
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            if container is not Container.MP3:
                raise
            damage = damage or error
            continue
        if damage and frames:
            raise damage
        for frame in frames:
            duration_s += frame.samples / frame.sample_rate
            yield frame


def _without_gaps(frames: Iterator[av.AudioFrame], n_stated_samples: int | None) -> Iterator[av.AudioFrame]:
    """FFmpeg leaves out FLAC frames whose checksum is wrong; the ones behind them know their place and give it away."""
    start: int | None = None
    n_samples = 0
    for frame in frames:
        position = round((frame.pts or 0) * (frame.time_base or 0) * frame.sample_rate)
        start = position if start is None else start
        if position != start + n_samples:
            raise CorruptAudio(f"The FLAC data is damaged at {n_samples / frame.sample_rate:.2f} s; send it again.")
        n_samples += frame.samples
        yield frame
    if n_stated_samples and n_samples != n_stated_samples:
        raise CorruptAudio(
            f"The FLAC file is cut off or damaged: it states {n_stated_samples} samples and {n_samples} can be "
            "decoded; send it whole."
        )
