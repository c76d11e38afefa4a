"""Signals and uploads for tests: seeded makers, an encoder for every format that is read, and real voices.

Samples are float32 of shape (n_samples, channels); an upload is bytes.
"""

from __future__ import annotations

import csv
import io
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Audio = NDArray[np.float32]

# --- makers -----------------------------------------------------------------------------------------------------------


def silence(duration_s: float, rate_hz: int = 16_000, channels: int = 1) -> Audio:
    return np.zeros((round(duration_s * rate_hz), channels), dtype=np.float32)


def tone(
    duration_s: float, rate_hz: int = 16_000, channels: int = 1, *, frequency_hz: float = 440.0, amplitude: float = 0.5
) -> Audio:
    """The same sine in every channel, faded in and out over 10 ms so that no codec has a click to overshoot on."""
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    fade = np.clip(np.minimum(t, duration_s - t) / 0.01, 0.0, 1.0)
    wave = amplitude * fade * np.sin(2 * np.pi * frequency_hz * t)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def square(duration_s: float, rate_hz: int = 16_000, *, frequency_hz: float = 200.0, amplitude: float = 0.5) -> Audio:
    t = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sign(np.sin(2 * np.pi * frequency_hz * t + 0.1)))[:, None].astype(np.float32)


def white_noise(
    duration_s: float, rate_hz: int = 16_000, channels: int = 1, *, level_db: float = -20.0, seed: int = 0
) -> Audio:
    """`level_db` is its power re full scale."""
    shape = (round(duration_s * rate_hz), channels)
    noise = np.random.default_rng(seed).standard_normal(shape) * 10 ** (level_db / 20)
    return np.clip(noise, -1.0, 1.0).astype(np.float32)


# --- encoders ---------------------------------------------------------------------------------------------------------


def _by_libsndfile(samples: Audio, rate_hz: int, container: str, encoding: str) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=container, subtype=encoding)
    return out.getvalue()


def wav(samples: Audio, rate_hz: int = 16_000, encoding: str = "PCM_16", *, extensible: bool = False) -> bytes:
    return _by_libsndfile(samples, rate_hz, "WAVEX" if extensible else "WAV", encoding)


def flac(samples: Audio, rate_hz: int = 16_000, encoding: str = "PCM_16") -> bytes:
    return _by_libsndfile(samples, rate_hz, "FLAC", encoding)


def open_ended_flac(samples: Audio, rate_hz: int = 16_000) -> bytes:
    """What a streaming encoder writes: a total of 0 samples in the header."""
    upload = bytearray(flac(samples, rate_hz))
    upload[21] &= 0xF0
    upload[22:26] = bytes(4)
    return bytes(upload)


def flac_in_frames(samples: Audio, rate_hz: int, n_frame_samples: int) -> bytes:
    """Mono, in frames of a length that no encoder chooses by itself; what does not fill the last one is left out."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        stream = file.add_stream("flac", rate=rate_hz, layout="mono")
        stream.format = "s16"
        stream.codec_context.options = {"frame_size": str(n_frame_samples)}
        pcm = (samples[:, 0] * 32_767).astype(np.int16)
        for start in range(0, len(pcm) - n_frame_samples + 1, n_frame_samples):
            piece = pcm[None, start : start + n_frame_samples]
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate_hz, start
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def mp3(samples: Audio, rate_hz: int = 16_000) -> bytes:
    return _by_libsndfile(samples, rate_hz, "MP3", "MPEG_LAYER_III")


def ogg_vorbis(samples: Audio, rate_hz: int = 16_000) -> bytes:
    return _by_libsndfile(samples, rate_hz, "OGG", "VORBIS")


def ogg_opus(samples: Audio, rate_hz: int = 16_000) -> bytes:
    return _by_libsndfile(samples, rate_hz, "OGG", "OPUS")


def opus_packets(upload: bytes) -> list[bytes]:
    """Those of an Opus file, as a call would carry them."""
    with av.open(io.BytesIO(upload)) as source:
        return [bytes(packet) for packet in source.demux(audio=0) if packet.size]


def aiff(samples: Audio, rate_hz: int = 16_000) -> bytes:
    return _by_libsndfile(samples, rate_hz, "AIFF", "PCM_16")


def webm(samples: Audio, rate_hz: int = 48_000, *, live: bool = False) -> bytes:
    """Opus. `live` is what a browser's recorder writes: no duration, no cues, no sizes."""
    return muxed("webm", [("opus", samples)], rate_hz, {"live": "1"} if live else {})


def webm_vorbis(samples: Audio, rate_hz: int = 44_100) -> bytes:
    """libvorbis's packets in a WebM; FFmpeg's own Vorbis encoder is an experiment that loses a channel."""
    out = io.BytesIO()
    with av.open(io.BytesIO(ogg_vorbis(samples, rate_hz))) as source, av.open(out, "w", format="webm") as file:
        stream = file.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                packet.duration = 0  # the last one's has wrapped around where the file ends inside its block
                file.mux(packet)
    return out.getvalue()


def m4a(samples: Audio, rate_hz: int = 44_100, *, fragmented: bool = False) -> bytes:
    """`fragmented` is what Safari's recorder writes: an empty index, then pieces that each have their own."""
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if fragmented else {}
    return muxed("mp4" if fragmented else "ipod", [("aac", samples)], rate_hz, flags)


def g722(samples: Audio) -> bytes:
    """Without a header, as telephone exchanges keep it; 16 kHz, mono."""
    return muxed("g722", [("g722", samples)], 16_000)


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def muxed(
    container: str,
    tracks: list[tuple[str, Audio]],
    rate_hz: int,
    options: Mapping[str, str] | None = None,
    *,
    with_video: bool = False,
) -> bytes:
    """A file with one audio track for each (codec, samples), and perhaps two seconds of black video before them."""
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=dict(options or {})) as file:
        video = file.add_stream("libvpx" if container == "webm" else "mpeg4", rate=10) if with_video else None
        if video is not None:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
        streams = []
        for codec, samples in tracks:
            stream = file.add_stream(codec, rate=rate_hz, layout=_LAYOUTS[samples.shape[1]])
            stream.codec_context.options = {"strict": "experimental"}
            streams.append(stream)
        if video is not None:
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), dtype=np.uint8))
            for _ in range(20):
                file.mux(video.encode(black))
            file.mux(video.encode())
        for stream, (_, samples) in zip(streams, tracks, strict=True):
            layout = _LAYOUTS[samples.shape[1]]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate_hz, 0
            file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return out.getvalue()


Encode = Callable[[Audio, int], bytes]

_PCM_RATES_HZ = (8_000, 16_000, 44_100, 48_000, 96_000, 192_000)
FORMATS: dict[str, tuple[Encode, tuple[int, ...], tuple[int, ...]]] = {
    "wav": (wav, _PCM_RATES_HZ, (1, 2, 6, 8)),
    "flac": (flac, _PCM_RATES_HZ, (1, 2, 6, 8)),
    "mp3": (mp3, (8_000, 16_000, 44_100, 48_000), (1, 2)),
    "ogg/vorbis": (ogg_vorbis, _PCM_RATES_HZ, (1, 2, 6, 8)),
    "ogg/opus": (ogg_opus, (8_000, 16_000, 48_000), (1, 2, 6, 8)),
    "webm/opus": (webm, (8_000, 16_000, 48_000), (1, 2, 6)),
    "webm/vorbis": (webm_vorbis, _PCM_RATES_HZ, (1, 2, 6, 8)),
    "m4a/aac": (m4a, (8_000, 16_000, 44_100, 48_000, 96_000), (1, 2, 6)),
}
"""`Source.format` -> an encoder, and the rates and channel counts that it writes."""


ID3_TAG = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0]) + bytes(256)
"""An ID3v2 tag of 266 bytes, as it stands in front of many an MP3."""

# --- WAV headers that lie ---------------------------------------------------------------------------------------------


def raw_wav(
    payload: bytes,
    *,
    rate_hz: int = 16_000,
    channels: int = 1,
    bits: int = 16,
    tag: int = 1,
    n_stated_bytes: int | None = None,
    n_frame_bytes: int | None = None,
    trailer: bytes = b"",
) -> bytes:
    """A WAV file byte by byte; every field of its header may be wrong."""
    frame = channels * bits // 8 if n_frame_bytes is None else n_frame_bytes
    size = len(payload) if n_stated_bytes is None else n_stated_bytes
    header = struct.pack("<HHIIHH", tag, channels, rate_hz, rate_hz * frame % 2**32, frame, bits)
    body = b"WAVEfmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", size) + payload + trailer
    return b"RIFF" + struct.pack("<I", len(body)) + body


# --- real voices ------------------------------------------------------------------------------------------------------


def _data_folder() -> Path:
    beside_the_repository = Path(__file__).resolve().parents[2] / "shared" / "data"
    return Path(os.environ.get("VOUCH_TEST_DATA") or beside_the_repository)


def data_folder_or_none() -> Path | None:
    """For what is no test, or does without."""
    folder = _data_folder()
    return folder if (folder / "manifest.csv").is_file() else None


def data_folder() -> Path:
    """The folder of real voices. Skips the calling test where it is absent."""
    folder = _data_folder()
    if not (folder / "manifest.csv").is_file():
        pytest.skip(f"needs real voices: no manifest.csv in {folder} (set VOUCH_TEST_DATA to a folder that has one)")
    return folder


def voices(corpus: str, n_clips: int) -> list[bytes]:
    """Uploads spread evenly over a corpus, always the same ones. Skips the calling test where there is no data."""
    folder = data_folder()
    with (folder / "manifest.csv").open(newline="") as manifest:
        paths = [row["path"] for row in csv.DictReader(manifest) if row["corpus"] == corpus]
    step = max(1, len(paths) // n_clips)
    return [(folder / path).read_bytes() for path in paths[::step][:n_clips]]
