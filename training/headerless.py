"""Telephone recordings without a header, which say neither rate nor codec: GSM 06.10 (.gsm) and G.722 (.g722) -> WAV.

Only their names tell what they are, so no upload is read like this: Asterisk's voice prompts come in them.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
import soundfile

from model.errors import CorruptAudio

GSM_RATE_HZ = 8_000
G722_RATE_HZ = 16_000


def gsm_to_wav(data: bytes) -> bytes:
    """33-byte frames of 20 ms. Raises CorruptAudio."""
    try:
        samples, _ = soundfile.read(
            io.BytesIO(data), dtype="int16", format="RAW", subtype="GSM610", samplerate=GSM_RATE_HZ, channels=1
        )
    except soundfile.LibsndfileError as error:
        raise CorruptAudio(f"a .gsm file that libsndfile cannot read ({error})") from error
    return _wav(samples, GSM_RATE_HZ)


def g722_to_wav(data: bytes) -> bytes:
    """A byte for every two samples. Raises CorruptAudio."""
    try:
        with av.open(io.BytesIO(data), "r", format="g722") as file:
            blocks = [frame.to_ndarray()[0] for frame in file.decode(audio=0)]
    except av.FFmpegError as error:
        raise CorruptAudio(f"a .g722 file that FFmpeg cannot read ({error})") from error
    return _wav(np.concatenate(blocks) if blocks else np.zeros(0, np.int16), G722_RATE_HZ)


def _wav(samples: np.ndarray[tuple[int], np.dtype[np.int16]], rate_hz: int) -> bytes:
    wav = io.BytesIO()
    soundfile.write(wav, samples, rate_hz, format="WAV", subtype="PCM_16")
    return wav.getvalue()


TO_WAV: dict[str, Callable[[bytes], bytes]] = {".gsm": gsm_to_wav, ".g722": g722_to_wav}
"""By a file name's suffix, in lower case."""
